"""SHD and SSC as published: where they are, and how to get them whole."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.progress import Progress

# The maintainers' address; https://compneuro.net/datasets is theirs too.  Licence of the data:
# CC BY 4.0, Cramer, Stradmann, Schemmel, Zenke, doi 10.1109/TNNLS.2020.3044364.
URL = "https://zenkelab.org/datasets"
# MD5 of the compressed files where it is known, as public loaders of SHD check it; None where it
# is not.  Either way the `md5sums.txt` beside the files is read and must agree.
MD5: dict[str, str | None] = {
    "shd_train.h5": "d47c9825dee33347913e8ce0f2be08b0",
    "shd_test.h5": "3062a80ec0c5719404d5b02e166543b1",
    "ssc_train.h5": None,
    "ssc_valid.h5": None,
    "ssc_test.h5": None,
}
SHD = ("shd_train.h5", "shd_test.h5")
SSC = ("ssc_train.h5", "ssc_valid.h5", "ssc_test.h5")
MAX_SUMS, MAX_DOWNLOAD, MAX_UNPACKED = 1 << 16, 4 << 30, 16 << 30
BLOCK = 1 << 20
TIMEOUT_S = 30


def fetch(
    folder: str | os.PathLike[str], names: tuple[str, ...] = SHD, url: str = URL
) -> list[Path]:
    """Download, check and unpack published files into `folder`; those already there are kept.

    names : `SHD`, `SSC` or some of their names.  url : folder that holds them as NAME.gz.

    Raises
    ------
    OSError
        If the server cannot be reached or the folder cannot be written.
    ValueError
        If a file is unknown, too large, damaged, or not the one that was published.
    """
    for name in names:
        if name not in MD5:
            raise ValueError(f"there is no published file {name!r}, only {', '.join(MD5)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        by_hand = f"put {' and '.join(missing)} into {folder} by hand, unpacked with gunzip"
        sums = _published_sums(url, by_hand)
        for name in missing:
            _fetch(folder, name, url, _agreed(name, sums), by_hand)
    return [folder / name for name in names]


@contextmanager
def _opened(address: str, by_hand: str) -> Iterator[http.client.HTTPResponse]:
    if not address.startswith(("https://", "http://")):
        raise ValueError(f"{address} is no web address; it must begin with https://")
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as response:
            yield response
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise OSError(f"could not fetch {address} ({error}); {by_hand}") from None


def _published_sums(url: str, by_hand: str) -> dict[str, str]:
    with _opened(f"{url}/md5sums.txt", by_hand) as response:
        text = response.read(MAX_SUMS).decode("ascii", "replace")
    return {name: md5 for md5, name in re.findall(r"^([0-9a-f]{32})\s+\*?(\S+)$", text, re.M)}


def _agreed(name: str, sums: dict[str, str]) -> str:
    """MD5 that the compressed file must have."""
    published, known = sums.get(f"{name}.gz"), MD5[name]
    if published is None:
        raise ValueError(f"md5sums.txt of the server does not list {name}.gz, so it is not fetched")
    if known is not None and known != published:
        raise ValueError(
            f"the server announces MD5 {published} for {name}.gz, but {known} was published; "
            "this is another file"
        )
    return published


def _fetch(folder: Path, name: str, url: str, md5: str, by_hand: str) -> None:
    packed, part = (folder / f".{name}.{os.getpid()}{end}" for end in (".gz", ".part"))
    try:
        with _opened(f"{url}/{name}.gz", by_hand) as response, packed.open("wb") as file:
            found = _copy(response.read, file, f"{name}.gz", MAX_DOWNLOAD, response.length)
        if found != md5:
            raise ValueError(f"{name}.gz arrived with MD5 {found}, not {md5}; fetch it again")
        try:
            with gzip.open(packed) as unpacked, part.open("wb") as file:
                _copy(unpacked.read, file, name, MAX_UNPACKED, None)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{name}.gz cannot be unpacked ({error})") from None
        os.replace(part, folder / name)
    finally:
        packed.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


def _copy(
    read: Callable[[int], bytes], file: IO[bytes], name: str, most: int, size: int | None
) -> str:
    """Copy in blocks, at most `most` bytes, with a progress bar; return the MD5."""
    digest, taken = hashlib.md5(usedforsecurity=False), 0
    with Progress(transient=True) as progress:
        task = progress.add_task(name, total=size)
        while block := read(BLOCK):
            taken += len(block)
            if taken > most:
                raise ValueError(f"{name} is larger than {most} bytes, so it was not kept")
            digest.update(block)
            file.write(block)
            progress.update(task, completed=taken)
    return digest.hexdigest()
