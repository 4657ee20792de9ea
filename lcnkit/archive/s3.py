"""Archives in a public S3 bucket: listed through obstore without an account, read as plain ``https://`` URLs.

Whoever reads an item or a raster later, on any worker, needs no S3 setting.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit

from lcnkit.archive.http import Http
from lcnkit.archive.store import Entry
from lcnkit.errors import DataError

_MISSING = 'An s3:// root needs the package obstore: pip install "lcnkit[remote]".'


@dataclass(frozen=True)
class S3(Http):
    """A bucket that anybody may read."""

    can_list: ClassVar[bool] = True
    bucket: str = ""
    endpoint: str | None = None
    """``https://host`` of an S3-compatible service, addressed by path; ``None``: Amazon's, addressed by host name."""

    @classmethod
    def of(cls, root: str, endpoint: str | None) -> S3:
        """The bucket of an ``s3://bucket/prefix``.

        Raises:
            DataError: It names no bucket, or the endpoint is no URL.
        """
        bucket = urlsplit(root).netloc
        if not bucket:
            raise DataError(f"dataset.root={root} names no bucket: s3://BUCKET/PREFIX.")
        if endpoint is not None and not endpoint.startswith(("http://", "https://")):
            raise DataError(f"dataset.endpoint={endpoint} is no URL; give that of the S3 service, e.g. https://data.source.coop.")
        return cls(bucket=bucket, endpoint=endpoint.rstrip("/") if endpoint else None)

    def readable(self, href: str) -> str:
        """``https://...`` for ``s3://bucket/key`` of any bucket of the service; other hrefs as they are."""
        if not href.startswith("s3://"):
            return href
        bucket, _, key = href.removeprefix("s3://").partition("/")
        return f"{self._url(bucket)}/{quote(key)}"

    def entries(self, folder: str) -> list[Entry]:
        """See `Store.entries`."""
        from_obstore = _bucket(self.bucket, self._url(self.bucket), os.getpid())
        prefix = unquote(folder.removeprefix(self._url(self.bucket))).strip("/")
        import obstore
        from obstore.exceptions import BaseError

        try:
            found = obstore.list_with_delimiter(from_obstore, prefix=prefix or None)
        except BaseError as error:
            raise OSError(f"the bucket {self.bucket} cannot be listed: {_reason(error)}") from error
        folders = [Entry(str(path).rstrip("/").rpartition("/")[2], True) for path in found["common_prefixes"]]
        files = [Entry(str(entry["path"]).rpartition("/")[2], False) for entry in found["objects"]]
        return sorted((entry for entry in (*folders, *files) if entry.name), key=lambda entry: entry.name)

    def _url(self, bucket: str) -> str:
        return f"{self.endpoint}/{bucket}" if self.endpoint else f"https://{bucket}.s3.amazonaws.com"


@lru_cache(maxsize=8)
def _bucket(bucket: str, url: str, pid: int) -> Any:
    """Obstore's view of a bucket; one per process, since its threads do not survive a fork."""
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise DataError(_MISSING) from error
    by_path = url.endswith(f"/{bucket}")
    return S3Store(
        bucket,
        endpoint=url.removesuffix(f"/{bucket}") if by_path else url,
        virtual_hosted_style_request=not by_path,
        region="us-east-1",  # unsigned requests name none, but the client wants one
        skip_signature=True,
        client_options={"allow_http": True, "connect_timeout": "10s", "timeout": "60s"},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=60)},
    )


def _reason(error: BaseException) -> str:
    text = str(error).split("\n\nDebug source")[0]
    code = re.search(r"<Code>(\w+)</Code>", text)
    return f"the service answers {code[1]}" if code else " ".join(text.split())[:300]
