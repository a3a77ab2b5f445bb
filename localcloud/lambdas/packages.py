"""Function packages on disk: fetched, checked, kept by digest and unpacked once."""

import asyncio
import base64
import hashlib
import io
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from localcloud.lambdas.errors import ServiceError, invalid
from localcloud.lambdas.rules import MAX_UNZIPPED
from localcloud.lambdas.store import Code
from localcloud.process.aws_clients import AwsClients


class Packages:
    """The zips under `folder`, each at its digest, and what they hold."""

    def __init__(self, folder: Path, cloud: AwsClients) -> None:
        self._unpacked = folder / "code"
        self._unpacked.mkdir(parents=True, exist_ok=True)
        self._cloud = cloud
        self._unpacking = threading.Lock()

    async def take(self, source: Mapping[str, Any]) -> Code:
        """Fetch, check and unpack the package that a request's `Code` names.

        Raises:
            ServiceError: no package, an object that cannot be read, or bytes that are not a usable zip.
        """
        return await asyncio.to_thread(self._take, source)

    def code_path(self, sha256: str) -> Path:
        """The folder with the unpacked package of this digest (hex)."""
        return self._unpacked / sha256

    def _take(self, source: Mapping[str, Any]) -> Code:
        content = self._content(source)
        code = Code(hashlib.sha256(content).hexdigest(), len(content))
        with self._unpacking:  # two requests may bring the same bytes at the same time
            if not self.code_path(code.sha256).exists():
                self._unpack(content, self.code_path(code.sha256))
        return code

    def _content(self, source: Mapping[str, Any]) -> bytes:
        if source.get("ZipFile"):
            try:
                return base64.b64decode(source["ZipFile"], validate=True)
            except ValueError:
                raise invalid("ZipFile is not base64.") from None
        if not (source.get("S3Bucket") and source.get("S3Key")):
            raise invalid("Please provide a source for function code.")
        place = {"Bucket": source["S3Bucket"], "Key": source["S3Key"]}
        if source.get("S3ObjectVersion"):
            place["VersionId"] = source["S3ObjectVersion"]
        try:
            return self._cloud.client("s3").get_object(**place)["Body"].read()
        except ClientError as error:
            raise _s3_refusal(error, place) from None

    def _unpack(self, content: bytes, target: Path) -> None:
        scratch = Path(tempfile.mkdtemp(dir=self._unpacked, prefix="."))
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as package:
                members = package.infolist()
                if sum(member.file_size for member in members) > MAX_UNZIPPED:
                    raise invalid(f"Unzipped size must be smaller than {MAX_UNZIPPED} bytes")
                for member in members:
                    path = Path(package.extract(member, scratch))
                    if path.is_file() and (mode := member.external_attr >> 16 & 0o777):
                        path.chmod(mode)
            scratch.chmod(0o755)
            scratch.rename(target)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError):
            raise invalid("Could not unzip uploaded file. Please check your file, then try to upload again.") from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _s3_refusal(error: ClientError, place: Mapping[str, str]) -> ServiceError:
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    if code in ("AccessDenied", "403"):
        return ServiceError(
            "AccessDeniedException",
            "Your access has been denied by S3, please make sure your request credentials have permission to "
            f"GetObject for {place['Bucket']}/{place['Key']}. S3 Error Code: AccessDenied. S3 Error Message: {message}",
            403,
        )
    return invalid(f"Error occurred while GetObject. S3 Error Code: {code}. S3 Error Message: {message}")
