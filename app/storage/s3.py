"""Files in a bucket of any S3 API (AWS, MinIO, ...): multipart streams, visible only when whole."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError

from app.storage.keys import checked
from app.storage.protocol import CHUNK_BYTES, ByteSource, NotFoundError, StorageError

_MISSING = {"404", "NoSuchKey", "NotFound"}
_TRANSFER = TransferConfig(
    multipart_threshold=8 * CHUNK_BYTES, multipart_chunksize=8 * CHUNK_BYTES, use_threads=False
)
PATIENT = BotoConfig(retries={"mode": "standard"}, connect_timeout=5, read_timeout=30)
HASTY = BotoConfig(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=3)
"""Of the probe: who asks whether a store answers does not wait a minute and a half for the answer no."""


class S3Storage:
    """Storage below a prefix of one bucket. Credentials come from the usual AWS variables."""

    def __init__(self, client: Any, probe: Any, bucket: str, prefix: str) -> None:
        """Use ``client`` (boto3 "s3"), for ``check`` ``probe``; ``prefix`` is "" or ends with a slash."""
        self._client, self._probe, self._bucket, self._prefix = client, probe, bucket, prefix

    @classmethod
    def from_url(cls, url: str, endpoint_url: str | None) -> Self:
        """Return the storage of ``s3://bucket/prefix`` at an endpoint (None: AWS)."""
        parts = urlsplit(url)
        client, probe = (
            boto3.client("s3", endpoint_url=endpoint_url, config=config) for config in (PATIENT, HASTY)
        )
        prefix = parts.path.strip("/")
        return cls(client, probe, parts.netloc, f"{prefix}/" if prefix else "")

    def put(self, key: str, stream: ByteSource) -> None:
        """Store the bytes of ``stream`` under ``key``; see ``Storage.put``."""
        with _named_errors(key):
            self._client.upload_fileobj(_Unclosable(stream), self._bucket, self._name(key), Config=_TRANSFER)

    @contextmanager
    def open(self, key: str, start: int = 0) -> Iterator[ByteSource]:
        """Open a file; see ``Storage.open``."""
        wanted = {"Range": f"bytes={start}-"} if start else {}
        with _named_errors(key):
            body = self._client.get_object(Bucket=self._bucket, Key=self._name(key), **wanted)["Body"]
            with body:
                yield body

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        """Give a temporary copy; see ``Storage.local_path``."""
        with tempfile.NamedTemporaryFile(prefix="tally-", suffix=Path(key).suffix) as copy:
            with _named_errors(key):
                self._client.download_fileobj(self._bucket, self._name(key), copy, Config=_TRANSFER)
            copy.flush()
            yield Path(copy.name)

    def size(self, key: str) -> int:
        """Return the bytes of a file; see ``Storage.size``."""
        with _named_errors(key):
            head = self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        return int(head["ContentLength"])

    def exists(self, key: str) -> bool:
        """Return whether there is a file under this key."""
        try:
            self.size(key)
        except NotFoundError:
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove a file; nothing happens when there is none."""
        with _named_errors(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._name(key))

    def delete_prefix(self, prefix: str) -> None:
        """Remove all files below a folder of keys; nothing happens when there are none."""
        for key in list(self.keys(prefix)):
            self.delete(key)

    def keys(self, prefix: str) -> Iterator[str]:
        """Give the keys below a folder of keys, in no order."""
        with _named_errors(prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=f"{self._name(prefix)}/"):
                for item in page.get("Contents", ()):
                    yield str(item["Key"]).removeprefix(self._prefix)

    def free_share(self) -> float | None:
        """Return None: a bucket has no end."""
        return None

    def check(self) -> None:
        """Raise StorageError unless files can be written now; it waits some seconds at most."""
        key = "health/probe"
        with _named_errors(key):
            self._probe.put_object(Bucket=self._bucket, Key=self._name(key), Body=b"ok")

    def _name(self, key: str) -> str:
        return self._prefix + checked(key)


class _Unclosable:
    """A stream that boto3 cannot close: it belongs to the caller."""

    def __init__(self, stream: ByteSource) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)


@contextmanager
def _named_errors(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in _MISSING:
            raise NotFoundError(f"no file {key}") from error
        raise StorageError(f"the object store refused {key}") from error
    except (BotoCoreError, OSError) as error:
        raise StorageError(f"the object store does not answer for {key}") from error
