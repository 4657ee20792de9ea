"""A real S3 server (moto's) on a free port, with a bucket that anybody may read."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def serving_bucket(bucket: str) -> Iterator[Bucket]:
    """An empty bucket."""
    moto = pytest.importorskip("moto.server", reason="moto is not installed: pip install -e '.[slow]'")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto.ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield Bucket(bucket, f"http://{host}:{port}")
    finally:
        server.stop()


class Bucket:
    """Takes files; they are public."""

    def __init__(self, name: str, endpoint: str) -> None:
        import boto3

        self.name, self.endpoint = name, endpoint
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        self.client = boto3.client("s3", endpoint_url=endpoint, **keys)
        self.client.create_bucket(Bucket=name, ACL="public-read")

    def upload(self, folder: Path, prefix: str) -> str:
        """Copy a folder into the bucket; gives its ``s3://`` root."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.upload_file(path, f"{prefix}/{path.relative_to(folder).as_posix()}")
        return f"s3://{self.name}/{prefix}"

    def upload_file(self, path: Path, key: str) -> str:
        """Copy a file into the bucket; gives its ``s3://`` address."""
        self.client.put_object(Bucket=self.name, Key=key, Body=path.read_bytes(), ACL="public-read")
        return f"s3://{self.name}/{key}"
