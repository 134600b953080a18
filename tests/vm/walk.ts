import assert from 'node:assert/strict';
import { GUEST_ADDRESS, type Machine } from './machine.ts';

/* What an operator lives through with the package, one step after the other, on one machine. */
export interface Step {
  readonly name: string;
  readonly run: (machine: Machine) => Promise<string>;
}

const SERVICE = 'lumamesh-relay';
const CONFIG = '/etc/lumamesh-relay/relay.env';
const BOOT_LIMIT_MS = 600_000;
/** A watchdog of 60 s, what systemd then gives a process to end (10 s), and a start. */
const RESTART_LIMIT_S = 240;

/** Fails with the output when the command does. */
async function ok(machine: Machine, command: string): Promise<string> {
  const { code, text } = await machine.run(command);
  assert.equal(code, 0, `${command}\n${text}`);
  return text.trim();
}

async function property(machine: Machine, name: string): Promise<string> {
  return ok(machine, `systemctl show --property=${name} --value ${SERVICE}`);
}

async function nodeKey(machine: Machine): Promise<string> {
  const said = await ok(machine, 'lumamesh-relay keys show');
  const key = /^node key +(\S+)$/m.exec(said)?.[1];
  assert.ok(key !== undefined, said);
  return key;
}

/** Waits, in the machine, until the service runs in a process other than this one. */
async function newProcess(machine: Machine, before: string): Promise<string> {
  const wait = `for ((i = 0; i < ${RESTART_LIMIT_S}; i++)); do pid=$(systemctl show -P MainPID ${SERVICE}); [ "$pid" != 0 ] && [ "$pid" != ${before} ] && systemctl is-active -q ${SERVICE} && { echo "$pid"; exit 0; }; sleep 1; done; systemctl status --no-pager ${SERVICE}; exit 1`;
  return ok(machine, wait);
}

async function isWell(machine: Machine): Promise<void> {
  await ok(machine, `systemctl is-active ${SERVICE}`);
  const status = await ok(
    machine,
    'for i in $(seq 60); do lumamesh-relay status --once && exit 0; sleep 1; done; exit 1',
  );
  assert.match(status, / well$/m);
}

/** As a browser would, by the address that the record names. */
async function connects(machine: Machine): Promise<void> {
  const said = await ok(machine, 'lumamesh-relay check "$(lumamesh-relay encode)"');
  assert.match(said, /^ok +join/m);
}

async function setting(machine: Machine, line: string): Promise<void> {
  await ok(machine, `sed -i '/^${line.split('=')[0]}=/d' ${CONFIG} && echo '${line}' >>${CONFIG}`);
}

async function reboot(machine: Machine): Promise<void> {
  machine.leave('systemctl reboot');
  await machine.up(BOOT_LIMIT_MS);
}

let key = '';

export const STEPS: readonly Step[] = [
  {
    name: 'the machine boots, and nothing has failed',
    run: async (machine) => {
      await machine.up(BOOT_LIMIT_MS);
      assert.match(
        await ok(machine, 'systemctl list-units --failed --no-legend; echo end'),
        /^end$/,
      );
      return ok(
        machine,
        `. /etc/os-release; echo "$PRETTY_NAME, $(systemctl --version | head -n 1), Linux $(uname -r)"`,
      );
    },
  },
  {
    name: 'the package is installed, and the service says READY',
    run: async (machine) => {
      await ok(machine, 'dpkg -i /root/first.deb');
      await newProcess(machine, '0');
      assert.equal(await property(machine, 'NotifyAccess'), 'all');
      assert.equal(await property(machine, 'SubState'), 'running');
      assert.match(await property(machine, 'StatusText'), /^browsers dial /);
      await isWell(machine);
      key = await nodeKey(machine);
      return `with ${await property(machine, 'MemoryCurrent')} bytes of memory`;
    },
  },
  {
    name: 'with PUBLIC_IP a client connects',
    run: async (machine) => {
      await setting(machine, `PUBLIC_IP=${GUEST_ADDRESS}`);
      await ok(machine, `systemctl restart ${SERVICE}`);
      await isWell(machine);
      await connects(machine);
      return `at ${GUEST_ADDRESS}, port 3478`;
    },
  },
  {
    name: 'the sandbox is enforced, and in nobody’s way',
    run: async (machine) => {
      const pid = await property(machine, 'MainPID');
      const status = await ok(machine, `cat /proc/${pid}/status`);
      assert.match(status, /^NoNewPrivs:\s+1$/m);
      assert.match(status, /^Seccomp:\s+2$/m);
      assert.match(status, /^CapEff:\s+0+$/m);
      assert.match(status, /^CapBnd:\s+0+$/m);
      const mounts = await ok(machine, `cat /proc/${pid}/mountinfo`);
      assert.match(mounts, / \/ \/ ro,/, 'the system is not read-only');
      assert.match(mounts, / \/var\/lib\/lumamesh-relay rw,/);
      await ok(machine, `[ "$(readlink /proc/${pid}/ns/user)" != "$(readlink /proc/1/ns/user)" ]`);
      return ok(
        machine,
        `systemd-analyze security ${SERVICE} --no-pager | tail -n 1 | sed 's/[^ -~]//g; s/^ *//'`,
      );
    },
  },
  {
    name: 'a relay that hangs (SIGSTOP) is restarted by the watchdog',
    run: async (machine) => {
      const pid = await property(machine, 'MainPID');
      const before = Date.now();
      await ok(machine, `kill -STOP ${pid}`);
      await newProcess(machine, pid);
      assert.match(
        await ok(machine, `journalctl -b --no-pager -u ${SERVICE}`),
        /[Ww]atchdog timeout/,
      );
      await isWell(machine);
      return `after ${Math.round((Date.now() - before) / 1000)} s`;
    },
  },
  {
    name: 'a relay that is killed (kill -9) is restarted, as the same',
    run: async (machine) => {
      const pid = await property(machine, 'MainPID');
      await ok(machine, `kill -9 ${pid}`);
      await newProcess(machine, pid);
      await isWell(machine);
      assert.equal(await nodeKey(machine), key);
      return '';
    },
  },
  {
    name: 'systemctl reload takes over what can be used, and fails with what cannot',
    run: async (machine) => {
      const pid = await property(machine, 'MainPID');
      await setting(machine, 'MAX_ROOM_SIZE=77');
      await ok(machine, `systemctl reload ${SERVICE}`);
      await ok(
        machine,
        `for i in $(seq 60); do journalctl -b -u ${SERVICE} --no-pager | grep -q 'settings were read again' && exit 0; sleep 1; done; exit 1`,
      );
      await setting(machine, 'MAX_ROOM_SIZE=many');
      const { code } = await machine.run(`systemctl reload ${SERVICE}`);
      assert.notEqual(code, 0);
      assert.match(
        await ok(machine, `journalctl -b -u ${SERVICE} --no-pager -n 20`),
        /MAX_ROOM_SIZE in .*is not allowed/,
      );
      await setting(machine, 'MAX_ROOM_SIZE=77');
      await isWell(machine);
      assert.equal(await property(machine, 'MainPID'), pid);
      return '';
    },
  },
  {
    name: 'after a reboot it is there, as the same',
    run: async (machine) => {
      const before = Date.now();
      await reboot(machine);
      await newProcess(machine, '0');
      await isWell(machine);
      assert.equal(await nodeKey(machine), key);
      return `${Math.round((Date.now() - before) / 1000)} s from reboot to well`;
    },
  },
  {
    name: 'it serves port 443, with one capability for it',
    run: async (machine) => {
      const folder = `/etc/systemd/system/${SERVICE}.service.d`;
      await setting(machine, 'UDP_PORT=443');
      await ok(
        machine,
        `mkdir -p ${folder} && cp /usr/share/doc/${SERVICE}/examples/low-port.conf ${folder}/ && systemctl daemon-reload && systemctl restart ${SERVICE}`,
      );
      await isWell(machine);
      await connects(machine);
      const status = await ok(machine, `cat /proc/$(systemctl show -P MainPID ${SERVICE})/status`);
      assert.match(status, /^CapEff:\s+0{13}400$/m);
      return '';
    },
  },
  {
    name: 'an upgrade hands over to the new program, with a changed setting and the same identity',
    run: async (machine) => {
      const pid = await property(machine, 'MainPID');
      const since = await ok(machine, 'sleep 1; date +%s');
      await ok(machine, 'DEBIAN_FRONTEND=noninteractive dpkg -i /root/second.deb');
      const after = await newProcess(machine, pid);
      // Longer than the watchdog waits.
      await ok(machine, `sleep 70; [ "$(systemctl show -P MainPID ${SERVICE})" = ${after} ]`);
      const journal = await ok(machine, `journalctl --since=@${since} -u ${SERVICE} --no-pager`);
      assert.match(journal, /handed over/);
      assert.doesNotMatch(journal, /Stopp(ing|ed) |Main process exited/);
      await ok(machine, `[ ! -e /proc/${pid} ] && [ ! -e /run/${SERVICE}.service.before ]`);
      assert.match(await ok(machine, '/usr/lib/lumamesh-relay/lumamesh-relay --version'), /\S/);
      await isWell(machine);
      assert.match(await ok(machine, `cat ${CONFIG}`), /^MAX_ROOM_SIZE=77$/m);
      assert.equal(await nodeKey(machine), key);
      await connects(machine);
      return ok(machine, `dpkg-query -W ${SERVICE}`);
    },
  },
  {
    name: 'a program that does not start takes over from nobody',
    run: async (machine) => {
      const pid = await property(machine, 'MainPID');
      await setting(machine, 'MAX_ROOM_SIZE=many');
      const { code, text } = await machine.run(
        `/usr/lib/${SERVICE}/${SERVICE} hand-over`,
        BOOT_LIMIT_MS,
      );
      await setting(machine, 'MAX_ROOM_SIZE=77');
      assert.equal(code, 1, text);
      assert.match(text, /the old one runs on/);
      await isWell(machine);
      assert.equal(await property(machine, 'MainPID'), pid);
      return '';
    },
  },
  {
    name: 'on a full disk it runs on and says so; killed, it comes back when there is room',
    run: async (machine) => {
      const pid = await property(machine, 'MainPID');
      await ok(
        machine,
        `fallocate -l $(($(stat -f -c '%f * %S' /) - 8000000)) /fill; cat /dev/zero >/fill2 2>/dev/null; [ "$(stat -f -c %a /)" -lt 100 ]`,
      );
      const { code, text } = await machine.run('lumamesh-relay doctor');
      const killed = await machine.run(
        `systemctl is-active ${SERVICE} && kill -9 ${pid} && sleep 20`,
      );
      await ok(machine, 'rm /fill /fill2');
      assert.equal(killed.code, 0, killed.text);
      assert.equal(code, 1, text);
      assert.match(text, /^FAIL +disk/m);
      await newProcess(machine, pid);
      await isWell(machine);
      assert.equal(await nodeKey(machine), key);
      return '';
    },
  },
  {
    name: 'nothing was killed, refused or missed: no seccomp, no EPERM, no word of systemd-notify',
    run: async (machine) => {
      for (const [what, pattern] of [
        [`-u ${SERVICE}`, 'EPERM|Operation not permitted|systemd-notify does not work'],
        ['-k', 'seccomp|type=1326'],
        [`-u ${SERVICE}`, 'status=31/SYS|Failed at step|status=9/KILL.*stop'],
      ])
        // A start on a full disk is what a step above has asked for.
        await ok(
          machine,
          `! journalctl --no-pager ${what} | grep -v 'No space left' | grep -E '${pattern}'`,
        );
      return ok(
        machine,
        `journalctl --no-pager -u ${SERVICE} | wc -l | sed 's/$/ lines of journal/'`,
      );
    },
  },
  {
    name: 'removed, purged and installed again, it is the same relay from its backup',
    run: async (machine) => {
      await ok(machine, 'lumamesh-relay keys backup /root/backup');
      await ok(machine, `dpkg -r ${SERVICE}`);
      await ok(
        machine,
        `[ -e /var/lib/${SERVICE}/node.key ] && ! systemctl is-active -q ${SERVICE}`,
      );
      await ok(
        machine,
        `dpkg -P ${SERVICE} && [ ! -e /var/lib/${SERVICE} ] && rm -r /etc/systemd/system/${SERVICE}.service.d && systemctl daemon-reload`,
      );
      assert.match(
        await ok(machine, 'systemctl list-units --failed --no-legend; echo end'),
        /^end$/,
      );
      await ok(
        machine,
        `dpkg -i /root/second.deb && systemctl stop ${SERVICE} && rm /var/lib/${SERVICE}/*`,
      );
      await ok(machine, `lumamesh-relay keys restore /root/backup && systemctl start ${SERVICE}`);
      await isWell(machine);
      assert.equal(await nodeKey(machine), key);
      await ok(machine, `dpkg -P ${SERVICE}`);
      return '';
    },
  },
  {
    name: 'install.sh takes a first installation that does not come up back, and leaves no failed unit',
    run: async (machine) => {
      const { code, text } = await machine.run(
        `perl -MSocket -e 'socket(my $s, AF_INET, SOCK_DGRAM, 0); bind($s, sockaddr_in(3478, INADDR_ANY)) or die; sleep 600' & holder=$!
cd /root/checkout && PUBLIC_IP=${GUEST_ADDRESS} bash install.sh --yes --package /root/first.deb --sha256 "$(sha256sum /root/first.deb | cut -d ' ' -f 1)"
code=$?; kill $holder; exit $code`,
      );
      assert.equal(code, 1, text);
      assert.match(
        text,
        /FAILED in step 7[\s\S]*UDP port 3478 is taken[\s\S]*stopped and removed again/,
      );
      assert.match(
        await ok(machine, 'systemctl list-units --all --failed --no-legend; echo end'),
        /^end$/,
      );
      return '';
    },
  },
  {
    name: 'install.sh installs, and uninstall.sh removes it but for its identity',
    run: async (machine) => {
      const said = await ok(
        machine,
        `cd /root/checkout && PUBLIC_IP=${GUEST_ADDRESS} bash install.sh --yes --package /root/first.deb --sha256 "$(sha256sum /root/first.deb | cut -d ' ' -f 1)"`,
      );
      assert.match(said, /\[9\/9\][\s\S]*a client on this machine connects/);
      await isWell(machine);
      await connects(machine);
      const { code } = await machine.run(
        `echo MAX_ROOM_SIZE=many >>/opt/lumamesh/relay.env; systemctl reload ${SERVICE}`,
      );
      assert.notEqual(code, 0);
      const before = await nodeKey(machine).catch(async () => {
        await ok(machine, `sed -i /MAX_ROOM_SIZE=many/d /opt/lumamesh/relay.env`);
        return nodeKey(machine);
      });
      await ok(machine, 'bash /root/checkout/uninstall.sh --yes');
      await ok(machine, '[ ! -e /opt/lumamesh ] && [ ! -e /usr/local/bin/lumamesh-relay ]');
      assert.match(
        await ok(machine, 'systemctl list-units --failed --no-legend; echo end'),
        /^end$/,
      );
      return `as ${before}`;
    },
  },
];
