# SPDX-License-Identifier: Apache-2.0
"""A model of what a kernel does with PCI functions and their drivers: a tree like sysfs, and a server in the place of tranche-priv that
changes it by the kernel's rules.

It lets tranched's journal be tested through thousands of crashes in seconds; what a real kernel does is tested in lab/vfio."""
import json
import pathlib
import socket
import threading

GPU, AUDIO, DISK, BRIDGE = 0x030000, 0x040300, 0x010802, 0x060400
EAGAIN_TEXT = {-16: "busy", -5: "the driver refused", -26: "it is in use by process 7 (qemu)", -110: "the kernel has not finished it"}


DIES_BEFORE, DIES_AFTER = "dies before", "dies after"    # in the place of an errno: tranche-priv ends, the operation not done, or done


class Died(Exception):
    """What ends a connection without an answer."""


class Function:
    def __init__(self, address, class_code, native, group, **attributes):
        self.address, self.class_code, self.native, self.group = address, class_code, native, group
        self.driver, self.override = native, ""
        self.attributes = attributes


class ModelKernel:
    """Functions in a tree below `folder`; serves tranche-priv's protocol on `folder`/priv.sock until closed."""

    def __init__(self, folder, functions, boot="boot-1"):
        self.folder, self.functions = pathlib.Path(folder), {f.address: f for f in functions}
        self.failures = []          # [(words of the operation, errno or DIES_…)], each used once
        self.done = []              # what was carried out: (kind, device, to)
        self.broken = []            # rules that were broken
        self.lock = threading.Lock()
        self.write_tree(boot)
        self.socket_path = self.folder / "priv.sock"
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(self.socket_path))
        self.listener.listen(8)
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    # the tree

    def device(self, address):
        return self.folder / "sys/bus/pci/devices" / address

    def write_tree(self, boot):
        sys = self.folder / "sys"
        (sys / "module/vfio_pci").mkdir(parents=True)
        (sys / "bus/pci/devices").mkdir(parents=True)
        (sys / "bus/pci/drivers").mkdir()
        for f in self.functions.values():
            home = sys / "devices/pci0000:00" / f.address
            home.mkdir(parents=True)
            group = sys / f"kernel/iommu_groups/{f.group}/devices"
            group.mkdir(parents=True, exist_ok=True)
            (group / f.address).symlink_to(home)
            (home / "iommu_group").symlink_to(group.parent)
            values = {"class": f"0x{f.class_code:06x}", "vendor": "0x10de", "device": "0x2330", "numa_node": "0", **f.attributes}
            for name, value in values.items():
                (home / name).write_text(f"{value}\n")
            (sys / "bus/pci/devices" / f.address).symlink_to(home)
            self.show(f)
        self.boot(boot)

    def boot(self, boot):
        """A reboot when called again: nothing stays bound or overridden."""
        random = self.folder / "proc/sys/kernel/random"
        random.mkdir(parents=True, exist_ok=True)
        (random / "boot_id").write_text(boot + "\n")
        for f in self.functions.values():
            f.driver, f.override = f.native, ""
            self.show(f)

    def show(self, f):
        link, drivers = self.device(f.address) / "driver", self.folder / "sys/bus/pci/drivers"
        link.unlink(missing_ok=True)
        if f.driver:
            (drivers / f.driver).mkdir(exist_ok=True)
            link.symlink_to(drivers / f.driver)
        (self.device(f.address) / "driver_override").write_text((f.override or "(null)") + "\n")

    # the rules

    def set_driver(self, f, to):
        if to and f.driver:
            self.broken.append(f"{f.address}: bound to {to} while {f.driver} has it")
        if to and (f.override or f.native) != to:
            return -19, f"driver {to} does not take {f.address}"
        f.driver = to
        return 0, ""

    def set_override(self, f, to):
        f.override = to
        return 0, ""

    def carry(self, op):
        with self.lock:
            f = self.functions.get(op["device"])
            if not f:
                return -19, f"there is no device {op['device']}"
            if op["kind"] == "driver":
                now = f.driver
            elif op["kind"] == "override":
                now = f.override
            else:
                now = (self.device(f.address) / {"d3cold": "d3cold_allowed"}[op["kind"]]).read_text().strip()
            if now == op["to"]:
                return 0, ""
            if now != op["from"]:
                return -116, f"{op['kind']} of it is '{now}' now, not '{op['from']}'"
            words = f"{op['kind']} {op['device']} {op['from']}>{op['to']}"
            for failure in self.failures:
                if failure[0] in words:
                    self.failures.remove(failure)
                    if failure[1] in (DIES_BEFORE, DIES_AFTER):
                        if failure[1] == DIES_AFTER:
                            self.do(f, op)
                        raise Died
                    return failure[1], EAGAIN_TEXT[failure[1]]
            return self.do(f, op)

    def do(self, f, op):
        if op["kind"] == "d3cold":
            (self.device(f.address) / "d3cold_allowed").write_text(op["to"] + "\n")
            code, text = 0, ""
        else:
            code, text = (self.set_driver if op["kind"] == "driver" else self.set_override)(f, op["to"])
        self.show(f)
        if code == 0:
            self.done.append((op["kind"], op["device"], op["to"]))
        return code, text

    # the server

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.serve, args=(peer,), daemon=True))
            self.threads[-1].start()

    def receive(self, peer):
        try:
            return peer.recv(4096)
        except ConnectionResetError:    # tranched died with an answer unread
            return b""

    def serve(self, peer):
        with peer:
            while message := self.receive(peer):
                request = json.loads(message)
                try:
                    code, text = self.carry(request["op"])
                except Died:
                    return
                except FileNotFoundError as problem:
                    if self.folder.exists():
                        self.broken.append(f"the model failed: {problem!r}")
                    return    # else the test is over, and the tree is gone
                answer = {"id": request["id"], "code": code, **({"text": text, "hint": ""} if code else {})}
                try:
                    peer.send(json.dumps(answer).encode())
                except OSError:
                    return

    def close(self):
        self.listener.close()

    # what tests ask

    def drivers(self):
        return {address: f.driver for address, f in self.functions.items()}

    def is_native(self):
        return all(f.driver == f.native and not f.override for f in self.functions.values())

    def state(self):
        return {address: (f.driver, f.override) for address, f in self.functions.items()}
