/* SPDX-License-Identifier: Apache-2.0 */
/* The surface of the tranche command: every verb and option, once. Usage, help, completions and the man page's checks come from here. */
#include "cli/cli.h"

#define MODELS "passthrough vgpu mig"
#define POLICIES "best-effort equal-share fixed-share none"
#define CLASSES "normal latency"

const struct cli_option cli_common_options[] = {
    { "json", NULL, "print one JSON document; errors too, on stderr" },
    { "run-dir", "DIR", "where tranched has its control.sock", COMPLETE_DIRS },
    { "help", NULL, "explain the verb" },
    { 0 },
};

/* Of commands that look at a machine. */
#define SYSROOT { "sysroot", "DIR", "read the files of a machine below this directory instead of this machine's", COMPLETE_DIRS }

static const struct cli_option gpus_options[] = {
    { "refresh", NULL, "ask the machine again" },
    SYSROOT,
    { 0 },
};

static const struct cli_option doctor_options[] = {
    { "model", "MODEL", "only what this model needs:", MODELS },
    SYSROOT,
    { 0 },
};

static const struct cli_option holders_options[] = {
    SYSROOT,
    { 0 },
};

static const struct cli_option attach_options[] = {
    { "format", "FORMAT", "what for:", "qemu libvirt proxmox vmware kubevirt" },
    { "vm", "NAME", "attach to this libvirt domain; with proxmox, the VMID" },
    { "live", NULL, "with --vm: to the running machine instead of its configuration" },
    { "qemu", "PATH", "qemu: ask this QEMU, and use iommufd where it has it", COMPLETE_FILES },
    { "primary", NULL, "the guest's firmware shows its picture on it (x-vga)" },
    { "rom", "FILE", "the card's ROM from this file, or off to hide it", COMPLETE_FILES },
    { "guest-bus", "N", "libvirt: the guest's bus for a card of several functions; default 9" },
    SYSROOT,
    { 0 },
};

static const struct cli_option create_options[] = {
    { "model", "MODEL", "how the GPU is shared:", MODELS, .required = true },
    { "name", "NAME", "what the share is called", .required = true },
    { "profile", "PROFILE", "a size that the model offers, such as 1of4 (vgpu) or 1c (mig)", COMPLETE_PROFILES },
    { "memory", "SIZE", "vgpu, instead of a profile: its memory, such as 1GiB" },
    { "time", "PERCENT", "vgpu, instead of a profile: its part of the time, such as 25%" },
    { "weight", "N", "vgpu: its weight beside the GPU's other shares" },
    { "policy", "POLICY", "vgpu: how the GPU's time is divided:", POLICIES },
    { "class", "CLASS", "vgpu: a share of class latency goes next when it has work:", CLASSES },
    { "quantum", "TIME", "vgpu: longest turn, such as 2ms" },
    { "watchdog", "TIME", "end a tenant whose kernel runs longer, such as 30s" },
    { "force", NULL, "passthrough to a VM: also the only display of this host" },
    { "with-group", NULL, "passthrough to a VM: also the other devices of its IOMMU group" },
    { "persist", NULL, "passthrough to a VM: again after a reboot" },
    { "wait", "TIME", "passthrough to a VM: wait so long for the programs that use the GPU to end" },
    { "dry-run", NULL, "print what would be done to the machine, and do nothing" },
    { 0 },
};

static const struct cli_option rm_options[] = {
    { "force", NULL, "also end the programs that use it" },
    { "wait", "TIME", "a GPU in a VM: wait so long for the VM to end" },
    { 0 },
};

static const struct cli_option events_options[] = {
    { "share", "NAME", "only what happened to this share", COMPLETE_SHARES },
    { 0 },
};

static const struct cli_option compare_options[] = {
    { "html", "FILE", "also write a report with plots", COMPLETE_FILES },
    { "seconds", "N", "time for each figure; default 2" },
    { "quick", NULL, "less than a minute in all, at the price of some noise" },
    { 0 },
};

const struct cli_verb cli_verbs[] = {
    { "gpus", "", "list the GPUs of this machine and what each model can do on them", verb_gpus, gpus_options,
      .details = "For each GPU and each model it says yes, or no with the reason. A machine without a GPU shows its CPU as a stand-in GPU:\n"
                 "every model can be tried on it, but its figures are not those of a GPU.", .json = true },
    { "doctor", "[GPU]", "check what each model needs, and say what to do about what is missing", verb_doctor, doctor_options, 0, 1, COMPLETE_GPUS,
      .details = "For the machine and each GPU, every precondition with what was found, a verdict and the next step. Verdicts: ok; unknown, where nothing\n"
                 "tells; warning; blocks, where the model cannot work. It changes nothing and needs no daemon; as root it sees most.\n"
                 "Exit status: 0 nothing blocks, 4 something does. --model narrows both.\n\n"
                 "  tranche doctor gpu0 --model passthrough", .json = true, .alone = true },
    { "holders", "GPU", "list who keeps a GPU busy", verb_holders, holders_options, 1, 1, COMPLETE_GPUS,
      .details = "Processes that have a device file of the GPU open or mapped, also those in containers, with user, systemd unit and container; and the\n"
                 "kernel's own users. GPU is a name such as gpu0, a PCI address or a vendor's UUID. Only root sees everybody's processes: how many\n"
                 "could not be looked into is said. Nothing is ended, and no daemon is needed.", .json = true, .alone = true },
    { "create", "GPU", "create a share of a GPU", verb_create, create_options, 1, 1, COMPLETE_GPUS,
      .details = "A GPU is in one model at a time: its first share decides, and its --policy counts for the GPU.\n"
                 "A vgpu needs --profile, or --memory and --time, of which one may be left out: it is then the same fraction.\n"
                 "mig needs --profile; passthrough takes the whole GPU: profile vfio hands a PCI device with its companions to a VM, profile\n"
                 "whole to programs of this host by its own driver. Each step of handing over is journaled; an error or a crash undoes it.\n\n"
                 "  tranche create cpu0 --model vgpu --profile 1of4 --name a\n"
                 "  tranche create cpu0 --model vgpu --memory 1GiB --time 25% --name b\n"
                 "  tranche create cpu0 --model mig --profile 1c --name m\n"
                 "  tranche create cpu0 --model passthrough --name whole\n"
                 "  tranche create gpu0 --model passthrough --name vm1 --dry-run", .json = true },
    { "shares", "", "list the shares", verb_shares, .json = true },
    { "show", "NAME", "show one share and the programs that use it", verb_show, NULL, 1, 1, COMPLETE_SHARES, .json = true },
    { "rm", "NAME", "remove a share", verb_rm, rm_options, 1, 1, COMPLETE_SHARES,
      .details = "A share that programs use is not removed, unless --force ends their work: they see an OpenCL error.", .json = true },
    { "run", "NAME -- COMMAND…", "run a program as a tenant of a share", verb_run, NULL, 2, -1, COMPLETE_SHARES,
      .details = "The program is an unmodified OpenCL program; its exit status becomes that of tranche.\n"
                 "126: COMMAND could not be run, 127: COMMAND was not found.\n\n"
                 "  tranche run a -- clinfo --list" },
    { "attach", "NAME", "print what a VM needs to use a GPU, or attach it to a libvirt domain", verb_attach, attach_options, 1, 1, COMPLETE_SHARES,
      .details = "NAME is a passthrough share, or a GPU (gpu0, a PCI address, a vendor's UUID), or the address of a virtual function. All functions of a card go\n"
                 "together. The text for FORMAT is printed on standard output, what else to know on standard error. It does not bind or unbind anything.\n\n"
                 "  tranche attach train --format qemu --qemu /usr/bin/qemu-system-x86_64\n"
                 "  tranche attach train --vm win11", .json = true },
    { "vfs", "GPU [N]", "show or set how many virtual functions (SR-IOV) a GPU has", verb_vfs, NULL, 1, 2, COMPLETE_GPUS,
      .details = "With N it sets the number; 0 removes them all. New ones get no driver, so that each can go to a VM:\n"
                 "  tranche vfs gpu0 4\n"
                 "  tranche create gpu0vf1 --model passthrough --name vm1", .json = true },
    { "status", "", "show the daemon", verb_status, .json = true },
    { "events", "", "list what happened, newest last", verb_events, events_options, .json = true },
    { "compare", "[GPU]", "measure the three models on a GPU", verb_compare, compare_options, 0, 1, COMPLETE_GPUS, .json = true,
      .details = "Measures a tenant alone, beside an idle neighbour and beside one that saturates the GPU: throughput, latency, bandwidth and memory,\n"
                 "under passthrough, vgpu with each policy, and mig. It creates temporary shares named compare-… and removes them, also when it\n"
                 "is interrupted. The GPU must not have shares. Without GPU it takes the first." },
    { "version", "", "print the version", verb_version, .json = true, .alone = true },
    { "help", "[VERB]", "explain a verb", verb_help, NULL, 0, 1, COMPLETE_VERBS, .json = true, .alone = true },
    { "__complete", "WORD…", "what may stand at the last WORD, for shells", verb_complete, NULL, 0, -1, .hidden = true },
    { 0 },
};
