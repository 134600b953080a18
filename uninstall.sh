#!/usr/bin/env bash
# Undoes what install.sh did, and keeps the identity, from which install.sh restores the same relay.
set -Eeuo pipefail

usage() {
  cat <<'USAGE'
Usage: bash uninstall.sh [--yes] [--help]

Stops and removes the service and the program that install.sh installed, and its user. Kept: the identity, in operator/keys-backup, and the settings, in
operator/setup.env. As root it removes /opt/lumamesh; otherwise what is in operator/ of this checkout.

  --yes   ask nothing (needed without a terminal)
  --help  this text
USAGE
}

IS_YES=no
for argument in "$@"; do
  case $argument in
    --yes) IS_YES=yes ;;
    --help | -h) usage; exit 0 ;;
    *) echo "uninstall.sh: unknown option $argument; there are --yes and --help" >&2; exit 2 ;;
  esac
done

PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
umask 022
CHECKOUT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
OPERATOR=$CHECKOUT/operator
LOG=$OPERATOR/install.log
SETUP=$OPERATOR/setup.env
BACKUP=$OPERATOR/keys-backup
SERVICE=lumamesh-relay
UNIT=/etc/systemd/system/$SERVICE.service
if ((EUID == 0)); then
  IS_ROOT=yes BASE=/opt/lumamesh LOCK=/run/lumamesh-install.lock COMMAND=/usr/local/bin/lumamesh-relay
else
  IS_ROOT=no BASE=$OPERATOR LOCK=$OPERATOR/install.lock COMMAND=$OPERATOR/bin/lumamesh-relay
fi
DATA=$BASE/data
BINARY=$BASE/lumamesh-relay
RELAY_ENV=$BASE/relay.env

say() {
  printf '%s\n' "$*"
  printf '%s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$LOG"
}

fail() {
  {
    say "FAILED: $1"
    say "  mend: $2"
    say "  log:  $LOG"
  } >&2
  exit "${3:-1}"
}

# The value of a setting that names a file of the identity, or its default.
file_of() {
  local value
  value=$(sed -n "s/^$1=//p" "$RELAY_ENV" 2>/dev/null | tail -n 1 | sed -E "s/^(['\"\`])(.*)\1\$/\2/")
  printf '%s\n' "${value:-$2}"
}

confirm() {
  [[ $IS_YES == no ]] || return 0
  [[ -t 0 && -t 1 ]] || fail 'without a terminal nobody can be asked' 'give --yes if the relay is to be removed' 2
  local answer
  read -r -p 'Remove the relay from this machine (its identity is kept in operator/keys-backup)? [y/N] ' answer
  [[ $answer == [yY]* ]] || { say 'nothing was changed'; exit 0; }
}

refuse_while_it_runs_by_hand() {
  local link program
  [[ $HAS_SERVICE == no ]] || return 0
  for link in /proc/[0-9]*/exe; do
    program=$(readlink "$link" 2>/dev/null) || continue
    # A program that was replaced while running keeps its old name.
    program=${program% (deleted)}
    [[ $program != "$BINARY" && $program != "$BINARY.previous" ]] || fail "a relay that was started by hand is running (process $(cut -d / -f 3 <<<"$link"))" \
      "stop it: kill $(cut -d / -f 3 <<<"$link")"
  done
}

# Copies the identity to operator/keys-backup and compares every byte. Nothing is removed before that.
keep_identity() {
  local key kept program=$BINARY files file present=0
  key=$(file_of KEY_FILE server.key)
  files=("$key" "$key.icepwd" "$(file_of CERT_FILE server.crt)" "$(file_of NODE_KEY node.key)")
  [[ -d $DATA ]] || return 0
  cd "$DATA"
  for file in "${files[@]}"; do if [[ -e $file ]]; then present=$((present + 1)); fi; done
  ((present > 0)) || return 0
  [[ -x $program ]] || program=$CHECKOUT/dist/relay/lumamesh-relay
  local mend="mend what is named above, or move $DATA to a safe place yourself, and run uninstall.sh again; nothing was removed"
  [[ -x $program ]] || fail 'there is no program to back up the identity with' "build it (npm run build:binary), or move $DATA to a safe place yourself"
  if [[ -f $BACKUP/node.key ]] && ! cmp -s "${files[3]}" "$BACKUP/node.key"; then
    kept=$BACKUP.$(date -u +%Y%m%dT%H%M%SZ)
    mv "$BACKUP" "$kept"
    say "The backup that was there is of another identity; it is kept in $kept"
  fi
  env -i PATH="$PATH" HOME="$DATA" KEY_FILE="$key" CERT_FILE="${files[2]}" NODE_KEY="${files[3]}" "$program" keys backup "$BACKUP" >>"$LOG" 2>&1 </dev/null ||
    fail "the identity could not be backed up: $(tail -n 1 "$LOG")" "$mend"
  cmp -s "$key" "$BACKUP/server.key" && cmp -s "$key.icepwd" "$BACKUP/server.key.icepwd" && cmp -s "${files[2]}" "$BACKUP/server.crt" &&
    cmp -s "${files[3]}" "$BACKUP/node.key" || fail 'the backup of the identity is not what is in use' "$mend"
  chown -R "$EUID" "$BACKUP"
  cd "$CHECKOUT"
}

# The settings may have been edited since install.sh wrote setup.env. Three of them stood in the unit once.
keep_settings() {
  [[ -f $RELAY_ENV ]] || return 0
  (umask 077 && {
    grep -h '^#' "$SETUP" 2>/dev/null || true
    grep -q '^PUBLIC_IP=' "$RELAY_ENV" || grep -hE '^(PUBLIC_IP|UDP_PORT|HEALTH_LISTEN)=' "$SETUP" 2>/dev/null || true
    grep -E '^[A-Z]' "$RELAY_ENV" || true
  } >"$SETUP.new")
  mv -f "$SETUP.new" "$SETUP"
}

remove_service() {
  [[ $HAS_SERVICE == yes ]] || return 0
  if command -v systemctl >/dev/null && [[ -d /run/systemd/system ]]; then
    systemctl disable --now "$SERVICE" >>"$LOG" 2>&1 9>&- ||
      fail "the service could not be stopped: $(tail -n 1 "$LOG")" "systemctl status $SERVICE shows more; run uninstall.sh again"
  fi
  rm -f "$UNIT" "$UNIT.d/10-setup.conf"
  if [[ -d $UNIT.d ]] && ! rmdir "$UNIT.d" 2>/dev/null; then say "Left there, since it is yours: $UNIT.d"; fi
  if command -v systemctl >/dev/null && [[ -d /run/systemd/system ]]; then
    systemctl daemon-reload >>"$LOG" 2>&1 9>&- || true
    systemctl reset-failed "$SERVICE" >>"$LOG" 2>&1 9>&- || true
  fi
}

remove_files() {
  local name
  rm -f "$BINARY" "$BINARY.previous" "$BINARY.new" "$BINARY.source" "$RELAY_ENV" "$RELAY_ENV.new"
  # A command of that name that is not ours stays.
  if grep -qs '^RELAY_USER=' "$COMMAND"; then rm -f "$COMMAND"; fi
  [[ $IS_ROOT == yes ]] || rmdir "${COMMAND%/*}" 2>/dev/null || true
  rm -rf "$BASE"/.before-*
  # What the relay made in its folder, by name: other files stay.
  for name in server.key server.key.icepwd server.crt node.key node.key.traffic mesh-relays.txt; do rm -f "$DATA/$name"; done
  if [[ -d $DATA ]] && ! rmdir "$DATA" 2>/dev/null; then
    say "Left there, since install.sh did not make it: $(find "$DATA" -mindepth 1 | head -n 3 | tr '\n' ' ')"
  fi
  [[ $IS_ROOT == yes ]] || return 0
  if [[ -d $BASE ]]; then rmdir "$BASE" 2>/dev/null || true; fi
  # A user of that name with another home existed before.
  if [[ $(getent passwd lumamesh | cut -d : -f 6) == "$DATA" ]]; then
    userdel lumamesh >>"$LOG" 2>&1 || say "The user lumamesh could not be removed: $(tail -n 1 "$LOG")"
  fi
}

mkdir -p "$OPERATOR"
(umask 077 && touch "$LOG")
if command -v flock >/dev/null; then
  exec 9>>"$LOCK"
  flock -n 9 || fail 'another install.sh or uninstall.sh is running' 'wait for it'
fi
trap 'fail "line $LINENO: $BASH_COMMAND" "see the log, and run uninstall.sh again"' ERR
trap 'fail interrupted "run uninstall.sh again; it continues where it was" 130' INT TERM HUP
if [[ $IS_ROOT == yes && (-e $UNIT || -d $UNIT.d) ]]; then HAS_SERVICE=yes; else HAS_SERVICE=no; fi
if [[ $HAS_SERVICE == no && ! -e $BINARY && ! -d $DATA ]]; then
  say "Nothing is installed here$([[ $IS_ROOT == yes || ! -d /opt/lumamesh ]] || echo '; what is in /opt/lumamesh takes root')."
  exit 0
fi
confirm
refuse_while_it_runs_by_hand
keep_identity
keep_settings
remove_service
remove_files
say 'The relay was removed.'
if [[ -f $BACKUP/SHA256SUMS ]]; then say "Kept: $BACKUP (whoever has these files is this relay)"; fi
if [[ -f $SETUP ]]; then say "Kept: $SETUP"; fi
say 'To restore the same relay: bash install.sh'
