"""A Slurm of one node in a folder of its own: munge, controller and node daemon, on loopback, until the block ends."""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.local_cluster import free_port

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "srun")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_CONFIGURATION = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1
SlurmdParameters=config_overrides
KillWait=30
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=tests Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Lists the programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]


class Slurm:
    """A running cluster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PATH": _PATH, "SLURM_CONF": str(folder / "slurm.conf")}

    def ask(self, *command: str, cwd: Path | None = None) -> str:
        """Runs one of Slurm's commands and returns its output."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60, cwd=cwd)
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr}")
        return done.stdout

    def state(self, job: str) -> str:
        """Returns the state of a job, such as RUNNING."""
        return self.ask("scontrol", "show", "job", job).partition("JobState=")[2].split()[0]

    def wait(self, job: str, state: str, seconds: float) -> None:
        """Waits until a job is in a state."""
        deadline = time.monotonic() + seconds
        while (found := self.state(job)) != state:
            if time.monotonic() > deadline or found in ("FAILED", "TIMEOUT"):
                raise AssertionError(f"the job is {found}, not {state}")
            time.sleep(0.2)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Slurm]:
    """Starts the daemons, and stops them when the block ends."""
    host = socket.gethostname().partition(".")[0]
    settings = {"host": host, "user": getpass.getuser(), "folder": folder}
    ports = {"controller_port": free_port(), "node_port": free_port()}
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "slurm.conf").write_text(_CONFIGURATION.format(**settings, **ports))
    slurm = Slurm(folder)
    slurm.ask("mungekey", "--create", f"--keyfile={folder}/munge.key")
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    munge = ["munged", "--foreground", "--force", *(f"--{name}={folder}/munge.{end}" for name, end in files.items())]
    with contextlib.ExitStack() as daemons:
        for command in (munge, ["slurmctld", "-D", "-c"], ["slurmd", "-D", "-N", host]):
            log = daemons.enter_context((folder / f"{command[0]}.output").open("w"))
            daemon = subprocess.Popen(command, env=slurm.environment, stdout=log, stderr=log, start_new_session=True)
            daemons.callback(_stop, daemon)
            time.sleep(0.5)
        _wait_until_idle(slurm)
        yield slurm


def _stop(daemon: subprocess.Popen) -> None:
    daemon.terminate()
    try:
        daemon.wait(timeout=10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _wait_until_idle(slurm: Slurm) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(RuntimeError):
            if "State=IDLE" in slurm.ask("scontrol", "show", "node"):
                return
        time.sleep(0.2)
    logs = [path.read_text()[-2000:] for path in sorted(slurm.folder.glob("*.output"))]
    raise RuntimeError(f"Slurm did not start: {logs}")
