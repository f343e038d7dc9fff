"""A server with the GET, HEAD, PUT, DELETE and ListObjectsV2 of S3 that recomputes the signature (AWS Signature Version 4) of each request.

    s3_server.py PORT ACCESS_KEY SECRET_KEY REGION [SESSION_TOKEN]

Variables change how it treats "If-None-Match: *": S3_CONDITIONS=ignore stores the object all the same, S3_CONDITIONS=501 answers
so. S3_DELETES=no forbids DELETE, S3_LISTS=no forbids to list, and S3_PUTS=no forbids PUT. A page lists at most S3_PAGE keys.
With S3_PLAIN=1 it is a plain HTTP server, which asks for no signature and lists nothing. It listens on S3_ADDRESS, by default on
127.0.0.1.
"""

import hashlib
import hmac
import http.server
import os
import re
import sys
import threading
import urllib.parse
import xml.sax.saxutils

PORT, ACCESS_KEY, SECRET_KEY, REGION = sys.argv[1:5]
TOKEN = sys.argv[5] if len(sys.argv) > 5 else None
CONDITIONS = os.environ.get("S3_CONDITIONS", "")
DELETES, LISTS, PUTS = (os.environ.get(f"S3_{what}") != "no" for what in ("DELETES", "LISTS", "PUTS"))
PAGE = int(os.environ.get("S3_PAGE", "1000"))
PLAIN = os.environ.get("S3_PLAIN") == "1"
objects = {}
lock = threading.Lock()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def hmac256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # An answer whose head and body are sent apart waits 40 ms for the client's delayed acknowledgement.
    disable_nagle_algorithm = True

    def defect(self, body):
        """The reason why the signature is wrong; None if the holder of the secret signed the request."""
        if PLAIN:
            return None
        match = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, "
            r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
            self.headers.get("Authorization", ""),
        )
        if not match:
            return "no signature"
        key, day, region, signed, signature = match.groups()
        if key != ACCESS_KEY or region != REGION:
            return "another key or region"
        names = signed.split(";")
        needed = ["host", "x-amz-content-sha256", "x-amz-date"] + (["x-amz-security-token"] if TOKEN else [])
        if names != sorted(names) or not set(needed) <= set(names):
            return "headers not signed"
        if TOKEN and self.headers["x-amz-security-token"] != TOKEN:
            return "another token"
        claimed = self.headers["x-amz-content-sha256"]
        if claimed not in ("UNSIGNED-PAYLOAD", sha256(body)):
            return "the body is not that which was signed"
        path, _, query = self.path.partition("?")
        canonical = "\n".join(
            [
                self.command,
                path,
                query,
                *(f"{name}:{' '.join(self.headers[name].split())}" for name in names),
                "",
                signed,
                claimed,
            ]
        )
        date = self.headers["x-amz-date"]
        scope = f"{day}/{region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", date, scope, sha256(canonical.encode())])
        secret = ("AWS4" + SECRET_KEY).encode()
        for part in (day, region, "s3", "aws4_request"):
            secret = hmac256(secret, part)
        right = hmac.compare_digest(hmac256(secret, text).hex(), signature)
        return None if right and date.startswith(day) else "wrong signature"

    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def list(self, bucket, query):
        """Answers with a page of the keys of a bucket. A token is the last key of the page before."""
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", [""])[0]
        with lock:
            paths = [urllib.parse.unquote(path) for path in objects]
        keys = sorted(path[len(bucket) + 1 :] for path in paths if path.startswith(bucket + "/"))
        keys = [key for key in keys if key.startswith(prefix) and key > after]
        page = keys[: min(PAGE, int(query.get("max-keys", ["1000"])[0]))]
        more = len(page) < len(keys)
        xml_of = xml.sax.saxutils.escape
        rows = "".join(f"<Contents><Key>{xml_of(key)}</Key><Size>1</Size></Contents>" for key in page)
        token = f"<NextContinuationToken>{xml_of(page[-1])}</NextContinuationToken>" if more else ""
        self.answer(
            200,
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{rows}{token}</ListBucketResult>".encode(),
        )

    def do_GET(self):
        defect = self.defect(b"")
        path, _, query = self.path.partition("?")
        query = urllib.parse.parse_qs(query)
        if defect:
            self.answer(403, defect.encode())
        elif "list-type" in query and not PLAIN:
            self.list(path, query) if LISTS else self.answer(403)
        elif self.path in objects:
            self.answer(200, objects[self.path])
        else:
            self.answer(404)

    def do_HEAD(self):
        self.answer(403 if self.defect(b"") else 200 if self.path in objects else 404)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        defect = self.defect(body)
        if defect or not PUTS:
            self.answer(403, (defect or "").encode())
            return
        only_new = self.headers.get("If-None-Match") == "*" and CONDITIONS != "ignore"
        if only_new and CONDITIONS:
            self.answer(int(CONDITIONS))
            return
        with lock:
            taken = only_new and self.path in objects
            if not taken:
                objects[self.path] = body
        self.answer(412 if taken else 200)

    def do_DELETE(self):
        defect = self.defect(b"")
        if defect or not DELETES:
            self.answer(403, (defect or "").encode())
            return
        with lock:
            objects.pop(self.path, None)
        self.answer(204)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    # The kernel drops a connection that finds the queue full, and a client tries again a second later only.
    request_queue_size = 128


Server((os.environ.get("S3_ADDRESS", "127.0.0.1"), int(PORT)), Handler).serve_forever()
