"""A container of the model: what it runs, how it is started, and how it must be."""

from __future__ import annotations

from dataclasses import dataclass

from tests.lab import images

RUNNING, PAUSED, STOPPED, GONE = "running", "paused", "stopped", "gone"
RESTARTING = "restarting"  # of Docker's words; in the model only a loop may stay so
ALIVE = (RUNNING, PAUSED)
STOP_TIMEOUT = 2  # seconds; a signal that comes before the shell has set its trap is lost
PLACES = ("/data", "/other")
IDLE = "trap 'kill $!; exit 0' TERM; sleep 100000 & wait"
CRASH = "sleep 0.3; exit 3"
# Counts in two files, one after the other, and notes with which number it began. It writes in
# place: at each instant both are whole numbers, and they are equal or the first is one ahead.
COUNT = """\
stop= n=
trap 'stop=1' TERM
read n < {b}/{name}.b
n=${{n:-0}}
echo $n > {a}/{name}.start
while :; do
  n=$((n + 1))
  echo $n 1<> {a}/{name}.a
  echo $n 1<> {b}/{name}.b
  test -z "$stop" || exit 0
  sleep 0.2 & wait $!
done"""


@dataclass
class App:
    """A container. `kind` is "writer", "reader", "loop" (it crashes again and again) or "sharer"
    (of the namespace `space` of `owner`); `needs` is the service on which it depends in Compose's
    words. `state` is as it must be: RUNNING stands also for a restart loop. It is `owed` if dvol is
    to start it once its owner runs, which others have ended."""

    name: str
    kind: str
    volumes: tuple[str, ...] = ()
    policy: str = ""
    once: bool = False
    space: str = ""
    owner: str = ""
    needs: str = ""
    state: str = RUNNING
    owed: bool = False

    def __str__(self) -> str:
        has = f"{self.space} of {self.owner}" if self.owner else "+".join(self.volumes)
        more = [self.policy, "--rm" * self.once, f"needs {self.needs}" * bool(self.needs)]
        return " ".join([self.name, self.state, f"({has})", *filter(None, more)])

    @property
    def alive(self) -> bool:
        return self.state in ALIVE

    @property
    def ended(self) -> str:
        """What it is once it was stopped."""
        return GONE if self.once else STOPPED

    def place(self, volume: str) -> str:
        """Where it has a volume."""
        return PLACES[self.volumes.index(volume)]

    def writes_to(self, volume: str) -> bool:
        """Whether it runs and can write there."""
        return self.kind == "writer" and self.state == RUNNING and volume in self.volumes

    def run(self, driver: str) -> list[str]:
        """The words of `docker run`."""
        flags = ["-d", "--name", self.name, "--stop-timeout", str(STOP_TIMEOUT)]
        flags += ["--network", "none"] if self.space != "network" else []
        flags += ["--ipc", "shareable"] if self.space != "ipc" else []
        flags += [f"--{self.space}", f"container:{self.owner}"] if self.owner else []
        flags += ["--rm"] if self.once else []
        flags += ["--restart", self.policy] if self.policy else []
        for label in self._labels():
            flags += ["--label", f"com.docker.compose.{label}"]
        flags += ["--volume-driver", driver] if self.volumes else []
        for volume in self.volumes:
            flags += ["-v", f"{volume}:{self.place(volume)}{':ro' * (self.kind == 'reader')}"]
        return ["run", *flags, images.SHELL, "sh", "-c", self._shell()]

    def _labels(self) -> list[str]:
        labels = ["project=model", f"service={self.name}", "version=2.26.1"]
        return [*labels, f"depends_on={self.needs}:service_started:false"] if self.needs else labels

    def _shell(self) -> str:
        if self.kind == "writer":
            return COUNT.format(name=self.name, a=PLACES[0], b=PLACES[len(self.volumes) - 1])
        return CRASH if self.kind == "loop" else IDLE
