#!/bin/sh
# `lumamesh-relay` on the PATH: the installed program with what its service reads, that is its settings, the folder of its identity and its user. Who gives
# a --config (or LUMAMESH_CONFIG) means another relay, and gets the bare program. install.sh and the Debian package write their places into these lines:
PROGRAM=/opt/lumamesh/lumamesh-relay
CONFIG=/opt/lumamesh/relay.env
DATA=/opt/lumamesh/data
RELAY_USER=lumamesh
SERVICE=lumamesh-relay

set -uf
case " $* " in *' --config '* | *' --config='*) exec "$PROGRAM" "$@" ;; esac
if [ -n "${LUMAMESH_CONFIG:-}" ]; then exec "$PROGRAM" "$@"; fi

# What `systemctl edit` has put into the unit's own environment counts more than the file, for the service and so here.
if [ -n "$SERVICE" ] && [ -d /run/systemd/system ]; then
  for assignment in $(systemctl show --property=Environment --value "$SERVICE" 2>/dev/null); do
    name=${assignment%%=*}
    case $name in *[!A-Z0-9_]* | [!A-Z]* | "$assignment") continue ;; esac
    eval "[ -n \"\${$name+given}\" ]" || export "$assignment"
  done
fi

export LUMAMESH_HOME="$DATA"
if [ -r "$CONFIG" ] && [ -x "$DATA" ]; then
  export LUMAMESH_CONFIG="$CONFIG"
else
  unset LUMAMESH_HOME
  case ${1:-run} in
    check | decode | status | help | -*) ;;
    *)
      echo "lumamesh-relay: the settings and keys of the installed relay are for root: sudo lumamesh-relay $*" >&2
      exit 2
      ;;
  esac
fi

if [ "$(id -u)" != 0 ] || [ -z "$RELAY_USER" ]; then exec "$PROGRAM" "$@"; fi
# As the service's user, which shows what the service can read; but files that the command names are the caller's.
case " $* " in
  ' keys restore '*)
    "$PROGRAM" "$@" || exit
    find "$DATA" -maxdepth 1 -type f -user 0 -exec chown "$RELAY_USER:$RELAY_USER" {} +
    ;;
  ' keys backup '* | *' --list '* | ' encode '[!-]*) exec "$PROGRAM" "$@" ;;
  *) exec runuser -u "$RELAY_USER" -- "$PROGRAM" "$@" ;;
esac
