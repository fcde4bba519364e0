"""Download a file once: resumed where it broke off, tried again, and used only if its checksum is right."""

import os
from pathlib import Path

from rankscale.core.cli import log
from rankscale.core.errors import StudyError
from rankscale.core.progress import progress_bar

TRIES = 4  # each goes on where the last broke off
PATIENCE = (10, 60)  # seconds to connect, and without a byte
BLOCK = 1 << 16  # bytes: what a broken connection loses at most


def fetch(url: str, checksum: str, folder: Path) -> Path:
    """The file of `url` in `folder`, whose checksum (`md5:...` or `sha256:...`) is right.

    Raises StudyError if it cannot be had whole. What came so far waits beside it in a hidden `.part`, for the next try.
    """
    import pooch
    import requests

    name = url.rsplit("/", 1)[1]
    part = folder / f".{name}.part"
    pooch.get_logger().setLevel("ERROR")
    if not (folder / name).exists():
        log.info("downloading %s%s", url, f" from byte {part.stat().st_size} on" if part.exists() else "")
    registry = pooch.create(folder, base_url="", registry={name: checksum}, urls={name: url}, retry_if_failed=TRIES - 1)
    try:
        return Path(registry.fetch(name, downloader=lambda url, target, _: _resume(url, Path(target), part)))
    except FileNotFoundError as error:
        raise StudyError(f"{url}: the server answers {error}; it may have moved") from None
    except requests.exceptions.RequestException as error:
        raise StudyError(f"{url}: cannot be downloaded ({_reason(error)}); run the same again to go on") from error
    except ValueError as error:
        raise StudyError(
            f"{url}: came {TRIES} times with another checksum than {checksum}; it changed there, or something on the "
            f"way changes it"
        ) from error


def _resume(url: str, target: Path, part: Path) -> None:
    """Bring `part` to its full length, however far it came before, then hand it over as `target`."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    retries = Retry(TRIES, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504))
    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retries))
        start = part.stat().st_size if part.exists() else 0
        # Unpacked on the way, its length would not be the one that the server announces.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with session.get(url, stream=True, timeout=PATIENCE, headers=headers) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                part.replace(target)  # it was whole, or it is not what the server has: the checksum tells
                return
            if 400 <= response.status_code < 500:
                raise FileNotFoundError(f"{response.status_code} {response.reason}")  # asking again would not help
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                start = 0  # the server knows no ranges: from the start
            length = response.headers.get("Content-Length")
            total = start + int(length) if length else 0
            with (
                open(part, "ab" if start else "wb") as out,
                progress_bar(total, f"download {part.name[1:-5]}", "B") as bar,
            ):
                bar.unit_scale = True
                bar.update(start)
                try:
                    for block in response.iter_content(BLOCK):
                        out.write(block)
                        bar.update(len(block))
                except requests.exceptions.RequestException as error:
                    message = f"broke off at byte {out.tell()} of {total or 'unknown'}"
                    raise requests.exceptions.ConnectionError(message) from error
                out.flush()
                os.fsync(out.fileno())
    part.replace(target)


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code} {response.reason}"
    return str(getattr(error.args[0], "reason", error) if error.args else error) or type(error).__name__
