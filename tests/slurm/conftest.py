"""A real SLURM cluster on this machine: munge, a controller and two nodes, one of them with a made-up GPU."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "sinfo", "squeue", "scancel", "scontrol")
FOLDERS = f"{os.environ['PATH']}:/usr/sbin:/sbin"
CONFIG = """
ClusterName=rankscale
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/run/munge.sock
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool/%n
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd-%n.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
EnforcePartLimits=ALL
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2,sched_min_interval=0
PriorityType=priority/basic
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
KillWait=5
GresTypes=gpu
NodeName=c1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=8 RealMemory=64000 State=UNKNOWN
NodeName=g1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=8 RealMemory=64000 Gres=gpu:h200:1 State=UNKNOWN
PartitionName=cpu Nodes=c1 Default=YES MaxTime=1440 DefaultTime=5
PartitionName=gpu Nodes=g1 Default=NO MaxTime=1440 DefaultTime=5
"""


def program(name: str) -> str | None:
    return shutil.which(name, path=FOLDERS)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Cluster:
    """The cluster's daemons, and its commands."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("etc", "state", "spool", "log", "run", "bin"):
            (root / name).mkdir()
        (root / "key").mkdir(mode=0o700)
        key = root / "key/munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        host = socket.gethostname().partition(".")[0]
        text = CONFIG.format(host=host, user=getpass.getuser(), ports=free_ports(3), root=root)
        (root / "etc/slurm.conf").write_text(text)
        (root / "etc/gres.conf").write_text("AutoDetect=off\nNodeName=g1 Name=gpu Type=h200 File=/dev/null\n")
        limits = ("CgroupAutomount", "ConstrainCores", "ConstrainRAMSpace", "ConstrainDevices")
        (root / "etc/cgroup.conf").write_text("".join(f"{name}=no\n" for name in limits))
        # A job's step does not inherit where the configuration lies.
        srun = root / "bin/srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={root}/etc/slurm.conf exec {program("srun")} "$@"\n')
        srun.chmod(0o755)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM_", "SBATCH_", "SRUN_"))}
        self.environment = {**kept, "SLURM_CONF": f"{root}/etc/slurm.conf", "PATH": f"{root}/bin:{FOLDERS}"}
        self.daemons: list[subprocess.Popen] = []

    def start(self) -> None:
        run, log = self.root / "run", self.root / "log"
        munged = [program("munged"), "--foreground", f"--socket={run}/munge.sock", f"--pid-file={run}/munged.pid"]
        munged += [f"--key-file={self.root}/key/munge.key", f"--seed-file={run}/seed", f"--log-file={log}/munged.log"]
        self.daemon("munged", munged)
        config = f"{self.root}/etc/slurm.conf"
        self.daemon("slurmctld", [program("slurmctld"), "-D", "-c", "-f", config])
        for node in ("c1", "g1"):
            self.daemon(node, [program("slurmd"), "-D", "-N", node, "-f", config])
        until = time.monotonic() + 300
        while set(self.command("sinfo", "-h", "-o", "%T").split()) != {"idle"}:
            assert time.monotonic() < until, self.logs()
            time.sleep(0.3)

    def daemon(self, name: str, command: list) -> None:
        with open(self.root / f"log/{name}.out", "w") as out:
            self.daemons.append(subprocess.Popen(command, stdout=out, stderr=out, env=self.environment))

    def logs(self) -> str:
        return "\n".join(f"{f.name}: {f.read_text()[-1500:]}" for f in sorted((self.root / "log").iterdir()))

    def command(self, name: str, *arguments: str) -> str:
        """What one of SLURM's commands prints."""
        done = subprocess.run(
            [program(name), *arguments], capture_output=True, text=True, env=self.environment, check=False
        )
        return done.stdout + done.stderr

    def jobs(self) -> list[dict[str, str]]:
        """All jobs that the controller remembers, by the fields of `scontrol show job`."""
        lines = self.command("scontrol", "show", "job", "-o").splitlines()
        return [dict(word.partition("=")[::2] for word in line.split() if "=" in word) for line in lines]

    def stop(self) -> None:
        self.command("scancel", "--user", getpass.getuser())
        until = time.monotonic() + 20
        while self.command("squeue", "-h").strip() and time.monotonic() < until:
            time.sleep(0.5)
        for daemon in reversed(self.daemons):
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
        subprocess.run(["pkill", "-f", f"slurmstepd.*{self.root}"], check=False)


@pytest.fixture(scope="session")
def cluster():
    missing = [name for name in PROGRAMS if not program(name)]
    if missing:
        pytest.skip(f"SLURM is not installed here: no {', '.join(missing)} (Debian: slurm-wlm, munge)")
    # Short: the paths of sockets are limited.
    with tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        slurm = Cluster(Path(directory))
        try:
            slurm.start()
            yield slurm
        finally:
            slurm.stop()
