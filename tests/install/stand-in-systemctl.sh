#!/bin/bash
# Stands in for systemctl and PID 1 in the root that install.test.ts makes: runs the real unit with its drop-in, as its user, and waits for READY=1.
# What it does is told by /run/stand-in: calls, enabled, pid, notify (what the service told), log (what it printed).
set -u
FOLDER=/run/stand-in
UNIT=/etc/systemd/system/lumamesh-relay.service
START_TIMEOUT_S=${STAND_IN_START_TIMEOUT_S:-10}
mkdir -p $FOLDER
echo "systemctl $*" >>$FOLDER/calls

lines() { cat "$UNIT" "$UNIT".d/*.conf 2>/dev/null | sed -n "s/^$1=//p"; }
value() { lines "$1" | tail -n 1; }
# A process that takes over tells its own number.
follow() { [[ ! -s $FOLDER/pid ]] || grep '^MAINPID=' $FOLDER/notify | tail -n 1 | cut -d = -f 2 | grep . >$FOLDER/pid.new && mv $FOLDER/pid.new $FOLDER/pid; }
is_running() { follow; [[ -s $FOLDER/pid ]] && kill -0 "$(<$FOLDER/pid)" 2>/dev/null; }

stop() {
  local pid
  if is_running; then
    pid=$(<$FOLDER/pid)
    kill "$pid"
    for _ in {1..100}; do kill -0 "$pid" 2>/dev/null && sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null && echo 'stand-in: killed, since it did not stop within TimeoutStopSec' >>$FOLDER/log
  fi
  [[ ! -s $FOLDER/listener ]] || kill "$(<$FOLDER/listener)" 2>/dev/null
  rm -f $FOLDER/pid $FOLDER/listener $FOLDER/notify.socket
}

start() {
  local environment command i
  ! is_running || return 0
  mapfile -t environment < <(lines Environment)
  read -r -a command <<<"$(value ExecStart)"
  : >$FOLDER/notify
  # perl-base has what bash lacks: a datagram socket of the AF_UNIX family.
  perl -MSocket -e 'socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die "$!"; bind($s, pack_sockaddr_un($ARGV[0])) or die "$!"; chmod 0777, $ARGV[0];
    open(my $f, ">>", $ARGV[1]) or die "$!"; select($f); $| = 1; while (defined recv($s, my $m, 4096, 0)) { print $f "$m\n" }' \
    $FOLDER/notify.socket $FOLDER/notify </dev/null >/dev/null 2>&1 &
  echo $! >$FOLDER/listener
  for i in {1..50}; do [[ -S $FOLDER/notify.socket ]] || sleep 0.1; done
  (cd "$(value WorkingDirectory)" && exec setsid setpriv --reuid "$(value User)" --regid "$(value Group)" --init-groups --no-new-privs --inh-caps=-all \
    --bounding-set=-all env -i PATH="$PATH" NOTIFY_SOCKET=$FOLDER/notify.socket "${environment[@]}" "${command[@]}" </dev/null >>$FOLDER/log 2>&1) &
  echo $! >$FOLDER/pid
  for ((i = 0; i < START_TIMEOUT_S * 10; i++)); do
    ! grep -q '^READY=1' $FOLDER/notify || return 0
    is_running || { touch $FOLDER/failed; echo 'Job for lumamesh-relay.service failed because the control process exited with error code.' >&2; return 1; }
    sleep 0.1
  done
  echo 'Job for lumamesh-relay.service failed because a timeout was exceeded.' >&2
  stop
  return 1
}

case $1 in
  daemon-reload) ;;
  enable) touch $FOLDER/enabled ;;
  disable)
    rm -f $FOLDER/enabled
    [[ " $* " != *' --now '* ]] || stop
    ;;
  start) start ;;
  stop) stop ;;
  restart)
    stop
    start
    ;;
  reload)
    # One after the other, until one fails; with the unit's environment, as its user.
    mapfile -t environment < <(lines Environment)
    while IFS= read -r command; do
      (cd "$(value WorkingDirectory)" && exec setpriv --reuid "$(value User)" --regid "$(value Group)" --init-groups env -i PATH="$PATH" "${environment[@]}" \
        MAINPID="$(<$FOLDER/pid)" sh -c "$command" </dev/null >>$FOLDER/log 2>&1) ||
        { echo 'Job for lumamesh-relay.service failed.' >&2; exit 1; }
    done < <(lines ExecReload)
    ;;
  reset-failed) rm -f $FOLDER/failed ;;
  is-active) is_running ;;
  show)
    if [[ $* != *MainPID* ]]; then
      lines Environment | tr '\n' ' '
    else
      is_running && echo "MainPID=$(<$FOLDER/pid)" || echo MainPID=0
      echo "StatusText=$(grep '^STATUS=' $FOLDER/notify | tail -n 1 | cut -d = -f 2-)"
    fi
    ;;
  status)
    is_running && echo 'Active: active (running)' || echo 'Active: failed'
    is_running
    ;;
  *)
    echo "stand-in: systemctl $1 is not known to it" >&2
    exit 1
    ;;
esac
