"""The file system of a store: a write-ahead log is safe on a local disk, and not on a network file system.

The index of the log is memory shared by processes, which cannot be shared between hosts
(https://www.sqlite.org/wal.html, section 8).
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "HISTHOOKS_NETWORK"
_NETWORK = frozenset(
    "9p acfs afp afpfs afs beegfs ceph cephfs cifs coda curlftpfs davfs davfs2 dvs efs eos exafs fhgfs gfs gfs2 "
    "glusterfs gpfs ibrix isilon lustre mfs moosefs ncp ncpfs nfs nfs3 nfs4 ocfs2 orangefs panfs prl_fs pvfs2 quobyte "
    "smb smb2 smb3 smbfs vboxsf vmhgfs webdav wekafs xtreemfs".split()
)
# File systems of FUSE that lie on a disk of this host.
_LOCAL_FUSE = frozenset({"fuseblk", "fuse.ntfs", "fuse.ntfs-3g", "fuse.ext4", "fuse.overlayfs", "fuse.fuse-overlayfs"})


def kind_of(path: Path, mounts: str = "/proc/self/mountinfo") -> str:
    """The type of the file system that a path lies on, such as `ext4` or `nfs4`; '' if unknown.

    Parameters
    ----------
    path : Path
        It need not exist.
    mounts : str
        The list of mounts, in the form of proc(5).
    """
    try:
        lines = Path(mounts).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        place = os.path.realpath(path)
    except OSError:
        return ""
    found, longest = "", -1
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not after:
            continue
        folder = fields[4].encode("latin-1", "replace").decode("unicode_escape") if "\\" in fields[4] else fields[4]
        # The latest of two mounts on one folder hides the other.
        if len(folder) >= longest and (place + "/").startswith(folder.rstrip("/") + "/"):
            found, longest = after.split(" ")[0], len(folder)
    return found


def is_network(path: Path) -> bool:
    """Whether a path lies on a network file system; HISTHOOKS_NETWORK=1 and =0 decide it."""
    told = os.environ.get(VARIABLE, "")
    if told:
        return told != "0"
    kind = kind_of(path)
    return kind in _NETWORK or (kind.startswith("fuse") and kind not in _LOCAL_FUSE)
