"""Every way dvol can refuse, and what each refusal looks like from outside.

A class per refusal. Its docstring *is* the message, filled in with the subjects it was raised
with; the exit code and the HTTP status lie on the class. Both doors send `as_document()`, and
`from_document()` builds the same class again on the other side, so a refusal reads the same
through either door.

    DvolError                 1  dvol refused
    ├── InvalidRequest        2  fix the command
    ├── NotFound              3  it is not there
    ├── Conflict              4  the state forbids it now
    ├── Busy                  5  try again
    ├── Unsupported           6  not here
    ├── BackendFailed         7  look at the host: disk, permissions
    ├── Corrupt               8  stop, and inspect
    ├── Unreachable           9  no server
    ├── Bug                  70  please report it
    └── Interrupted         130  by Ctrl-C
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_LONGEST = 4096  # characters


class DvolError(Exception):
    """{0}"""

    exit_code = 1
    status = 500

    def __init__(self, *subject: str) -> None:
        super().__init__(*subject)
        self.subject = subject

    def __str__(self) -> str:
        template = " ".join((type(self).__doc__ or "").split())
        return template.format(*map(printable, self.subject))

    def as_document(self) -> dict[str, Any]:
        """What both doors send: Docker reads `Err` alone, the client rebuilds from the rest."""
        return {"Err": str(self), "Error": type(self).__name__, "Subject": list(self.subject)}


class InvalidRequest(DvolError):
    """{0}"""

    exit_code = 2
    status = 400


class InvalidName(InvalidRequest):
    """{0} is not a valid name for a {1}: use letters, digits, '_', '.' and '-',
    beginning with a letter or a digit{2}"""


class ReservedName(InvalidRequest):
    """{0} is not a valid name for a {1}: it is reserved"""


class InvalidRevision(InvalidRequest):
    """Malformed commit identifier '{0}'"""


class InvalidAuthor(InvalidRequest):
    """'{0}' is not an author; write it as 'Name <email>'"""


class InvalidDate(InvalidRequest):
    """'{0}' is not a date with a zone (RFC 3339)"""


class NameRequired(InvalidRequest):
    """'{0}' comes back as a new branch: say what to call it, 'dvol restore {0} NAME'"""


class NoMessage(InvalidRequest):
    """You must provide a commit message: -m 'what it is'"""


class InvalidMessage(InvalidRequest):
    """The commit message is no text: it holds half a surrogate pair"""


class InvalidOption(InvalidRequest):
    """dvol knows no volume option '{0}'; create the volume without it"""


class NotFound(DvolError):
    """{0}"""

    exit_code = 3
    status = 404


class PoolNotFound(NotFound):
    """there is no pool at {0}, and no server was found: is the plugin enabled, and does DVOL_HOST
    name its socket? Without a plugin, 'dvol --pool {0} init VOLUME' makes a pool"""


class VolumeNotFound(NotFound):
    """Volume '{0}' does not exist; 'dvol list' shows those that do"""


class ProjectNotFound(NotFound):
    """the Compose project '{0}' has no volume of dvol's, as far as Docker knows; name them by
    --volume"""


class CannotRemoveMissing(VolumeNotFound):
    """Volume '{0}' does not exist, cannot remove it"""


class BranchNotFound(NotFound):
    """Branch '{0}' does not exist; 'dvol branch' shows those that do"""


class CannotSwitchToMissing(BranchNotFound):
    """Cannot switch to a non-existing branch {0}; 'dvol checkout -b' makes one"""


class RevisionNotFound(NotFound):
    """Referenced commit does not exist; check dvol log ('{0}')"""


class NothingToUndo(NotFound):
    """Nothing to undo on branch '{0}': no reset has discarded anything there, or gc deleted it"""


class EntryNotFound(NotFound):
    """nothing that was discarded has the id '{0}'; 'dvol restore' lists what can be brought back"""


class VolumeGone(VolumeNotFound):
    """'{0}' belongs to the volume '{1}', which does not exist; bring that back first"""


class CommitsGone(NotFound):
    """{0} cannot be brought back: of its commits {1} are nowhere any more"""


class NoActiveVolume(NotFound):
    """No active volume: use dvol switch to choose one, or dvol init to make one"""


class ActiveVolumeGone(NotFound):
    """Active volume {0} does not exist: use dvol switch to choose another"""


class Conflict(DvolError):
    """{0}"""

    exit_code = 4
    status = 409


class VolumeExists(Conflict):
    """volume {0} already exists"""


class BranchExists(Conflict):
    """Cannot create existing branch {0}"""


class BranchActive(Conflict):
    """Cannot delete active branch, use 'dvol checkout' to switch branches first ('{0}')"""


class NothingCommitted(Conflict):
    """You must commit ('dvol commit') before you can branch ('dvol checkout -b')"""


class AmbiguousEntry(Conflict):
    """'{0}' may mean several things that were discarded ({1}); give more digits"""


class HalfwayDiscarded(Conflict):
    """'{0}' was discarded in the midst of a verb, which names its files by the volume '{1}'; bring
    it back under that name"""


class AmbiguousRevision(Conflict):
    """'{0}' may mean several commits ({1}); give more digits"""


class NotTogether(Conflict):
    """'{0}' means commits that were not made together ({1}); give the id of one that was made with
    the others, or their group, from 'dvol log'"""


class TakenByDocker(Conflict):
    """Docker keeps a volume {0} itself, and containers would get that one; take another name (the
    README shows how to copy what it holds)"""


class NotAPool(Conflict):
    """{0} holds other files and no pool; name an empty or a new directory"""


class PluginInUse(Conflict):
    """containers refer to volumes of the plugin {0}: {1}; 'docker rm' them first (the data
    stays)"""


class InTheWay(Conflict):
    """{0} is in the way and is nothing of dvol's; move it elsewhere"""


class WouldVanish(Conflict):
    """{0} was started with --rm, or by Swarm, and would be gone if it were ended; --force does it
    all the same"""


class VolumeInUse(Conflict):
    """Cannot remove '{0}' while it is in use by '{1}'; 'docker rm' these containers first"""


class Busy(DvolError):
    """{0}"""

    exit_code = 5
    status = 423


class VolumeBusy(Busy):
    """volume {0} is busy{1}; try again when that has ended"""


class ContainerBusy(Busy):
    """another dvol command is at work on a volume of the container {0}; try again when it has
    ended"""


class ContainerStarting(Busy):
    """the container {0} is just being started; try again when it runs"""


class PoolBusy(Busy):
    """the pool is busy{0}; try again when that has ended"""


class TooManyWaiting(Busy):
    """too many of Docker's calls wait for volumes already; volume {0} has to wait as well"""


class Unsupported(DvolError):
    """{0}"""

    exit_code = 6
    status = 501


class NewerFormat(Unsupported):
    """the pool {0} has format {1}, this dvol knows format {2} at most; upgrade dvol"""


class NewerProtocol(Unsupported):
    """protocol {0} was asked for, this dvol server speaks {1}; upgrade the plugin"""


class UnknownVerb(Unsupported):
    """this dvol server has no verb '{0}'; upgrade the plugin"""


class Detached(Unsupported):
    """volume {0} is out of reach while the dvol plugin is being uninstalled; if it stays after
    all, 'docker plugin disable -f' and 'enable' end that"""


class DockerUnusable(Unsupported):
    """cannot ask Docker which containers use '{0}' ({1}); mend that, or take
    --disable-docker-integration if none does"""


class NotAtOnce(Unsupported):
    """a commit --live of '{0}' needs a file system that freezes in an instant (btrfs); take
    --pause or --stop"""


class NoInstantForSeveral(Unsupported):
    """several volumes can't be committed --live: they have no instant in common; take --pause or
    --stop"""


class NestedSubvolumes(Unsupported):
    """{0} holds btrfs subvolumes, which a commit would leave empty: {1}; make plain directories
    of them"""


class BackendFailed(DvolError):
    """{0}"""

    exit_code = 7


class DiskFailed(BackendFailed):
    """{0}: {1}"""


class NoSpace(BackendFailed):
    """no space for {0}: it needs {1}, {2} are free; 'dvol gc --now' would free {3}"""


class CannotEnd(BackendFailed):
    """cannot {0} the container {1} ({2}); nothing was done to the volume"""


class NotBroughtBack(BackendFailed):
    """the {0} is done, but {1} could not be started again; see 'docker ps -a'"""


class TreeChanged(BackendFailed):
    """{0} changed while it was copied; is something outside Docker writing to the volume?"""


class Corrupt(DvolError):
    """{0}"""

    exit_code = 8


class BadDocument(Corrupt):
    """{0} is corrupt: {1}"""


class TreeMissing(Corrupt):
    """{0} is missing although the history of the volume names it"""


class WrongData(Corrupt):
    """{0}; set the plugin's 'data.source' to the directory it had, and enable it again"""


class Unreachable(DvolError):
    """{0}"""

    exit_code = 9
    status = 503


class NoServer(Unreachable):
    """no dvol server answers at {0} ({1}); is the plugin enabled ('docker plugin ls')?"""


class NotAllowed(Unreachable):
    """you may not use the dvol server at {0}: that takes the right to use Docker, which
    membership in the group of Docker's socket gives"""


class ServerGone(Unreachable):
    """the dvol server at {0} hung up before it answered; what you asked may still have been
    done: look at 'dvol log'"""


class Bug(DvolError):
    """a bug in dvol: {0}; please report it"""

    exit_code = 70


class Interrupted(DvolError):
    """interrupted{0}"""

    exit_code = 130


def printable(text: str) -> str:
    """`text` on one line and without control characters, so that a message stays one line, and not
    longer than a path."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return "".join(c if c.isprintable() else _escape(c) for c in short)


def from_document(document: Any) -> DvolError:
    """The refusal that `as_document` described; one unknown here keeps its text and exits 1."""
    facts = document if isinstance(document, dict) else {}
    kind = {known.__name__: known for known in kinds()}.get(str(facts.get("Error")), DvolError)
    subject = facts.get("Subject")
    error = kind(*map(str, subject if isinstance(subject, list) else []))
    try:
        same = str(error) == facts.get("Err")
    except IndexError:  # fewer subjects than the message here has places
        same = False
    return error if same else DvolError(str(facts.get("Err", document)))


def kinds(root: type[DvolError] = DvolError) -> Iterator[type[DvolError]]:
    """Every class of refusal, families before their members."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def disk_failed(error: OSError, path: object = None) -> DiskFailed:
    """The refusal for what the kernel said, naming the path it said it about."""
    named = path if path is not None else error.filename
    return DiskFailed(_decoded(named), error.strerror or str(error))


def _decoded(path: object) -> str:
    return path.decode(errors="surrogateescape") if isinstance(path, bytes) else str(path)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
