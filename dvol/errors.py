"""Every error that dvol raises: its message, its exit code and its HTTP status.

A class for each error. Its docstring *is* the message, a template for the subjects with which the
error is raised; exit code and HTTP status are attributes of the class. The plugin API and the
control API send `as_document()`, and `from_document()` builds the same class again in the client,
so an error reads the same with a server and without one.

    DvolError                 1  any other error
    ├── InvalidRequest        2  fix the command
    ├── NotFound              3  the named thing does not exist
    ├── Conflict              4  the present state forbids it
    ├── Busy                  5  try again
    ├── Unsupported           6  not on this file system, or with this version
    ├── BackendFailed         7  look at the host: disk, permissions
    ├── Corrupt               8  stop, and inspect
    ├── Unreachable           9  no server
    ├── Bug                  70  please report it
    └── Interrupted         130  by Ctrl-C
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_LONGEST = 4096  # characters of a subject; no path is longer (PATH_MAX)


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
        """The error as both APIs send it: Docker reads only `Err`, and dvol's client rebuilds the
        error from the rest."""
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
    """'{0}' becomes a new branch: name it, 'dvol restore {0} NAME'"""


class NoMessage(InvalidRequest):
    """You must provide a commit message: -m 'what it is'"""


class InvalidMessage(InvalidRequest):
    """The commit message is no text: it holds half a surrogate pair"""


class InvalidOption(InvalidRequest):
    """dvol knows no volume option '{0}'; create the volume without it"""


class InvalidOptionOfRemoved(InvalidOption):
    """dvol knows no volume option '{0}'; create the volume without it, or bring back the one of
    that name that was removed: 'dvol restore {1}'"""


class NotFound(DvolError):
    """{0}"""

    exit_code = 3
    status = 404


class PoolNotFound(NotFound):
    """there is no pool at {0}, and no server was found: enable the plugin, or set DVOL_HOST to its
    socket; without a plugin, 'dvol --pool {0} init VOLUME' makes a pool"""


class VolumeNotFound(NotFound):
    """Volume '{0}' does not exist; 'dvol list' shows those that do"""


class ProjectNotFound(NotFound):
    """the Compose project '{0}' has no volume of dvol's, as far as Docker knows; name its volumes
    by --volume"""


class CannotRemoveMissing(VolumeNotFound):
    """Volume '{0}' does not exist, cannot remove it"""


class BranchNotFound(NotFound):
    """Branch '{0}' does not exist; 'dvol branch' shows those that do"""


class CannotSwitchToMissing(BranchNotFound):
    """Cannot switch to a non-existing branch {0}; 'dvol checkout -b {0}' makes it"""


class RevisionNotFound(NotFound):
    """Referenced commit does not exist; check dvol log ('{0}')"""


class TagNotFound(NotFound):
    """Tag '{0}' does not exist; 'dvol tag' shows those that do"""


class NoGroupToUndo(NotFound):
    """there is no last reset of several volumes to undo: {0}; 'dvol undo VOLUME' undoes the last
    one of a volume"""


class NoTagMatches(NotFound):
    """no tag matches '{0}'; 'dvol tag' lists the tags"""


class NotInAnyBranch(NotFound):
    """commit {0} is in no branch any more; 'dvol gc {0}' deletes it"""


class NotInReflog(RevisionNotFound):
    """'{0}' means no commit: the reflog of {1} has {2}; 'dvol reflog' shows it"""


class NothingToUndo(NotFound):
    """Nothing to undo on branch '{0}': no reset has changed it, --discard kept nothing, or gc
    deleted the state before"""


class NotSoManyToUndo(NotFound):
    """only {1} states of branch '{0}' can be undone; 'dvol restore' lists them"""


class EntryNotFound(NotFound):
    """no entry has the id or the name '{0}'; 'dvol restore' lists those that can be restored"""


class VolumeGone(VolumeNotFound):
    """'{0}' belongs to the volume '{1}', which does not exist; restore that volume first"""


class CommitsGone(NotFound):
    """cannot restore {0}: its commits {1} no longer exist"""


class NoActiveVolume(NotFound):
    """No active volume: use dvol switch to choose one, or dvol init to make one"""


class ActiveVolumeGone(NotFound):
    """Active volume {0} does not exist: use dvol switch to choose another"""


class Conflict(DvolError):
    """{0}"""

    exit_code = 4
    status = 409


class VolumeExists(Conflict):
    """volume {0} already exists; choose another name"""


class NameInUse(VolumeExists):
    """volume {0} exists; 'dvol restore {1} NAME' restores the other one under another name"""


class BranchExists(Conflict):
    """Cannot create existing branch {0}; 'dvol checkout {0}' switches to it"""


class BranchNameInUse(BranchExists):
    """branch '{0}' exists; 'dvol restore {1} NAME' restores the other one under another name"""


class TagExists(Conflict):
    """Tag '{0}' exists, for commit {1}; 'dvol tag -d {0}' deletes it"""


class TagIsId(Conflict):
    """'{0}' is the beginning of the id of a commit; choose another name for the tag"""


class BranchIsTag(Conflict):
    """'{0}' is a tag, which the branch would hide; choose another name for the branch"""


class TagIsBranch(Conflict):
    """'{0}' is a branch, which a revision of that name would mean; choose another name for the
    tag"""


class CommitIsHead(Conflict):
    """commit {0} is the newest of branch '{1}', and can't be dropped; a reset goes back before
    it"""


class CommitIsTagged(Conflict):
    """commit {0} is in the history of the tag '{1}'; 'dvol tag -d {1} {2}' deletes the tag"""


class BranchActive(Conflict):
    """Cannot delete active branch, use 'dvol checkout' to switch branches first ('{0}')"""


class NothingCommitted(Conflict):
    """You must commit ('dvol commit') before you can branch ('dvol checkout -b')"""


class AmbiguousEntry(Conflict):
    """'{0}' may mean several entries ({1}); give more digits"""


class UnfinishedRemoval(Conflict):
    """'{0}' was removed while a command on it was unfinished; restore it under its old name
    '{1}'"""


class AmbiguousRevision(Conflict):
    """'{0}' may mean several commits ({1}); give more digits"""


class NotOneGroup(Conflict):
    """'{0}' means commits of different groups ({1}); give the id of a commit of one group, or the
    group's id, from 'dvol log'"""


class NameUsedByDocker(Conflict):
    """Docker has a local volume named {0}, and containers would get that one; take another name
    (docs/operations.md shows how to copy its data)"""


class NotAPool(Conflict):
    """{0} holds other files and no pool; name an empty or a new directory"""


class PluginInUse(Conflict):
    """containers refer to volumes of the plugin {0}: {1}; 'docker rm' them first (the data
    stays)"""


class PathOccupied(Conflict):
    """{0} is in the way and is no file of dvol's; move it elsewhere"""


class EncryptedDirectory(Conflict):
    """{0} is an encrypted directory, and a copy would hold its files in plain text; move it out of
    the volume, or encrypt the directory of the whole pool"""


class SwapInUse(Conflict):
    """{0} is in use as swap space, and can't be copied, moved or deleted; 'swapoff {0}' first"""


class WouldBeRemoved(Conflict):
    """{0} was started with --rm, or by Swarm: stopping it would remove it; --force stops it all the
    same"""


class SharerWouldBeRemoved(WouldBeRemoved):
    """{0} was started with --rm, or by Swarm, and would end and be removed with {1}, whose network,
    processes or memory it shares; --force stops it all the same"""


class VolumeInUse(Conflict):
    """Cannot remove '{0}' while it is in use by '{1}'; 'docker rm' these containers first"""


class Busy(DvolError):
    """{0}"""

    exit_code = 5
    status = 423


class VolumeBusy(Busy):
    """volume {0} is busy{1}; try again when that has ended"""


class ContainerBusy(Busy):
    """another dvol command is working on a volume of the container {0}; try again when it has
    ended"""


class ContainerStarting(Busy):
    """the container {0} is just being started; try again when it runs"""


class ContainerWoken(Busy):
    """the container {0} ran again while its volume was copied, since another command has unpaused
    or ended it; try again"""


class PoolBusy(Busy):
    """the pool is busy{0}; try again when that has ended"""


class UnfinishedDiscard(Busy):
    """volume {0} is half reset, since a 'dvol reset --discard' of it did not end; type 'dvol reset
    --hard --discard HEAD {0}' to complete it"""


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
    """volume {0} is out of reach while the dvol plugin is being uninstalled; to keep the plugin,
    'docker plugin disable -f' and 'enable' it"""


class UnclearPool(Unsupported):
    """cannot tell whether the container {0} has the volume '{1}' of this pool or of another; stop
    it, or give --disable-docker-integration if no container uses this pool's"""


class DockerUnusable(Unsupported):
    """cannot ask Docker which containers use '{0}' ({1}); start Docker, or give
    --disable-docker-integration if none does"""


class LiveNotSupported(Unsupported):
    """commit --live of '{0}' needs btrfs, which freezes a tree in an instant; use --pause or
    --stop"""


class LiveNeedsOneVolume(Unsupported):
    """several volumes can't be committed --live, since no instant is common to them; use --pause
    or --stop"""


class NestedSubvolumes(Unsupported):
    """{0} holds btrfs subvolumes, which would be empty in a commit: {1}; replace them by plain
    directories"""


class LowerLayer(Unsupported):
    """{0} is held by the lower layer of an overlay, which can't rename it; copy the pool within the
    overlay ('cp -a'), or mount that with redirect_dir=on,index=on"""


class BackendFailed(DvolError):
    """{0}"""

    exit_code = 7


class DiskFailed(BackendFailed):
    """{0}: {1}"""


class NoSpace(BackendFailed):
    """no space for {0}: it needs {1}, {2} are free; 'dvol gc --now' would free {3}"""


class NoSpaceToReset(NoSpace):
    """no space for {0}: it needs {1}, {2} are free; 'dvol gc --now' would free {3}, and 'dvol reset
    --hard --discard' needs no space, but keeps nothing to undo"""


class NoSpaceToFinish(NoSpace):
    """no space to finish the discarding reset of '{0}': it needs {1} more, {2} are free; free some
    ('dvol gc --now' would free {3}), then 'dvol reset --hard --discard HEAD {0}' completes it"""


class DiscardStopped(BackendFailed):
    """the discarding reset of '{0}' is unfinished: {1}; put that right, then 'dvol reset --hard
    --discard HEAD {0}' completes it"""


class CannotSuspend(BackendFailed):
    """cannot {0} the container {1} ({2}); nothing was done to the volume"""


class NotRestarted(BackendFailed):
    """the {0} is done, but {1} could not be started again; see 'docker ps -a'"""


class PreCommitFailed(BackendFailed):
    """nothing was committed: dvol.exec.pre-commit of the container {0} failed ({1});
    'docker exec' shows what it says"""


class PostCommitFailed(BackendFailed):
    """the commit is done, but dvol.exec.post-commit of the container {0} failed ({1});
    'docker exec' shows what it says"""


class TreeChanged(BackendFailed):
    """{0} changed while it was copied; stop the process outside Docker that writes to the volume"""


class Corrupt(DvolError):
    """{0}"""

    exit_code = 8


class BadDocument(Corrupt):
    """{0} is corrupt: {1}"""


class TreeMissing(Corrupt):
    """{0} is missing although the history of the volume names it"""


class DamagedCommit(Corrupt):
    """commit {0} is damaged: {1}; give the revision of a sound commit, or put its files right and
    run '{2}', which then unmarks it"""


class WrongData(Corrupt):
    """{0}; set the plugin's 'data.source' to the directory it had, and enable it again"""


class Unreachable(DvolError):
    """{0}"""

    exit_code = 9
    status = 503


class NoServer(Unreachable):
    """no dvol server answers at {0} ({1}); is the plugin enabled ('docker plugin ls')?"""


class NotAllowed(Unreachable):
    """you may not use the dvol server at {0}: join the group of Docker's socket, whose members may
    use Docker"""


class ServerGone(Unreachable):
    """the dvol server at {0} hung up before it answered; the command may have been done all the
    same: see 'dvol log'"""


class Bug(DvolError):
    """a bug in dvol: {0}; please report it"""

    exit_code = 70


class Interrupted(DvolError):
    """interrupted{0}"""

    exit_code = 130


def printable(text: str) -> str:
    """`text` with control characters escaped, so that a message stays on one line, and cut to the
    length of the longest path."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return "".join(c if c.isprintable() else _escape(c) for c in short)


def from_document(document: Any) -> DvolError:
    """Rebuild the error that `as_document` described. A class that is unknown here becomes a
    DvolError with the same text and exit code 1."""
    fields = document if isinstance(document, dict) else {}
    kind = {known.__name__: known for known in kinds()}.get(str(fields.get("Error")), DvolError)
    subject = fields.get("Subject")
    error = kind(*map(str, subject if isinstance(subject, list) else []))
    try:
        same = str(error) == fields.get("Err")
    except IndexError:  # fewer subjects than this version's message has placeholders
        same = False
    return error if same else DvolError(str(fields.get("Err", document)))


def kinds(root: type[DvolError] = DvolError) -> Iterator[type[DvolError]]:
    """Every class of error, each before its subclasses."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


def disk_failed(error: OSError, path: object = None) -> DiskFailed:
    """DiskFailed for an error of the kernel, with the path it is about."""
    named = path if path is not None else error.filename
    return DiskFailed(_decoded(named), error.strerror or str(error))


def _decoded(path: object) -> str:
    return path.decode(errors="surrogateescape") if isinstance(path, bytes) else str(path)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
