import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type Socket, connect } from 'node:net';
import { join } from 'node:path';
import { makeDebian } from '../install/debian.ts';

/*
 * A Debian with its own kernel and systemd as PID 1, in qemu: with KVM where there is one, else emulated. No network but its own. A shell on its second
 * serial line runs commands, each a line in base64, and answers with exit code and output.
 */
const PACKAGES = [
  ...['systemd-sysv', 'dbus', 'udev', 'linux-image-cloud-amd64', 'initramfs-tools', 'kmod'],
  ...['iproute2', 'procps', 'libatomic1', 'perl'],
];
const MEMORY_MB = 1024;
const DISK_MB = 3000;
/** An address of the machine that is not loopback, as relays and browsers have one. */
export const GUEST_ADDRESS = '10.77.0.2';
const SHELL = `#!/bin/bash
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1 2>/dev/null
ip addr add ${GUEST_ADDRESS}/32 dev lo
echo HELLO
while IFS= read -r line; do
  printf '%s' "$line" | base64 -d >/run/vm-command
  bash /run/vm-command >/run/vm-output 2>&1 </dev/null
  code=$?
  echo "DONE $code $(base64 -w0 /run/vm-output)"
done
`;
const UNIT = `[Unit]
After=multi-user.target
[Service]
Type=idle
ExecStart=/usr/local/sbin/vm-shell
Restart=always
[Install]
WantedBy=multi-user.target
`;

export interface Answer {
  readonly code: number;
  readonly text: string;
}

export class Machine {
  readonly isEmulated: boolean;
  readonly #qemu: ChildProcess;
  readonly #console: string;
  #socket: Socket | null = null;
  #heard = '';

  private constructor(qemu: ChildProcess, console: string, isEmulated: boolean) {
    this.#qemu = qemu;
    this.#console = console;
    this.isEmulated = isEmulated;
  }

  /** Makes an image with these files in it (by their paths there), and boots it. */
  static async boot(folder: string, files: ReadonlyMap<string, string>): Promise<Machine> {
    const tree = join(folder, 'tree');
    await mkdir(tree);
    await makeDebian(tree, PACKAGES);
    const write = async (path: string, text: string, mode = 0o644): Promise<void> => {
      await writeFile(join(tree, path), text);
      await chmod(join(tree, path), mode);
    };
    await write('usr/local/sbin/vm-shell', SHELL, 0o755);
    await write('etc/systemd/system/vm-shell.service', UNIT);
    await write('etc/hostname', 'relay\n');
    await write('etc/fstab', '');
    execFileSync('systemctl', ['--root', tree, 'enable', 'vm-shell'], { stdio: 'ignore' });
    for (const [path, source] of files) {
      await mkdir(join(tree, path, '..'), { recursive: true });
      await copyFile(source, join(tree, path));
    }
    const kernels = readdirSync(join(tree, 'boot'));
    const find = (prefix: string): string => {
      const name = kernels.find((one) => one.startsWith(prefix));
      assert.ok(name !== undefined, `no ${prefix} in the image`);
      return name;
    };
    const [kernel, initrd] = [find('vmlinuz-'), find('initrd.img-')];
    await copyFile(join(tree, 'boot', kernel), join(folder, kernel));
    await copyFile(join(tree, 'boot', initrd), join(folder, initrd));
    const image = join(folder, 'disk.img');
    execFileSync('mke2fs', ['-q', '-t', 'ext4', '-d', tree, image, `${DISK_MB}M`]);
    await rm(tree, { recursive: true });
    const hasKvm = existsSync('/dev/kvm');
    const line = join(folder, 'shell.socket');
    const qemu = spawn(
      'qemu-system-x86_64',
      [
        ...['-machine', `pc,accel=${hasKvm ? 'kvm' : 'tcg'}`, '-cpu', 'max,la57=off', '-smp', '2'],
        ...['-m', String(MEMORY_MB), '-display', 'none', '-nodefaults', '-nic', 'none'],
        ...['-kernel', join(folder, kernel), '-initrd', join(folder, initrd)],
        ...['-append', 'root=/dev/vda rw console=ttyS0 quiet mitigations=off'],
        ...[
          '-drive',
          `file=${image},format=raw,if=virtio,cache=unsafe`,
          '-device',
          'virtio-rng-pci',
        ],
        ...['-serial', `file:${join(folder, 'console.log')}`],
        ...['-serial', `unix:${line},server=on,wait=off`],
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const machine = new Machine(qemu, join(folder, 'console.log'), !hasKvm);
    await machine.#attach(line);
    return machine;
  }

  async #attach(path: string): Promise<void> {
    while (!existsSync(path)) {
      assert.equal(this.#qemu.exitCode, null, 'qemu has ended');
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    this.#socket = connect(path);
    this.#socket.on('data', (data) => (this.#heard += data.toString()));
    await once(this.#socket, 'connect');
  }

  /** Until a line begins with this word; returns the rest of it. */
  async #hear(word: string, limitMs: number): Promise<string> {
    const startedAt = performance.now();
    for (;;) {
      const found = new RegExp(`(?:^|\\n)${word}([^\\n]*)\\r?\\n`).exec(this.#heard);
      if (found !== null) {
        this.#heard = this.#heard.slice(found.index + found[0].length);
        return found[1] ?? '';
      }
      if (performance.now() - startedAt > limitMs || this.#qemu.exitCode !== null)
        assert.fail(
          `the machine does not say ${word}; its console:\n${(await readFile(this.#console, 'utf8')).slice(-2000)}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Waits until the machine is up. */
  async up(limitMs: number): Promise<void> {
    await this.#hear('HELLO', limitMs);
  }

  async run(command: string, limitMs = 300_000): Promise<Answer> {
    this.#socket?.write(`${Buffer.from(command).toString('base64')}\n`);
    const [, code = '', text = ''] = /^ (\d+) (\S*)/.exec(await this.#hear('DONE', limitMs)) ?? [];
    return { code: Number(code), text: Buffer.from(text, 'base64').toString() };
  }

  /** Begins a command that the machine does not outlive. */
  leave(command: string): void {
    this.#socket?.write(`${Buffer.from(command).toString('base64')}\n`);
  }

  async end(): Promise<void> {
    this.#socket?.destroy();
    if (this.#qemu.exitCode !== null) return;
    const ended = once(this.#qemu, 'exit');
    this.#qemu.kill('SIGKILL');
    await ended;
  }
}
