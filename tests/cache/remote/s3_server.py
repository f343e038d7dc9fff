"""A server with the GET, PUT and DELETE of S3 that recomputes the signature (AWS Signature Version 4) of each request.

    s3_server.py PORT ACCESS_KEY SECRET_KEY REGION [SESSION_TOKEN]

Variables change how it treats "If-None-Match: *": S3_CONDITIONS=ignore stores the object all the same, S3_CONDITIONS=501 answers
so. S3_DELETES=no forbids DELETE. It listens on S3_ADDRESS, by default on 127.0.0.1.
"""

import hashlib
import hmac
import http.server
import os
import re
import sys
import threading

PORT, ACCESS_KEY, SECRET_KEY, REGION = sys.argv[1:5]
TOKEN = sys.argv[5] if len(sys.argv) > 5 else None
CONDITIONS = os.environ.get("S3_CONDITIONS", "")
DELETES = os.environ.get("S3_DELETES") != "no"
objects = {}
lock = threading.Lock()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def hmac256(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def defect(self, body):
        """The reason why the signature is wrong; None if the holder of the secret signed the request."""
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

    def do_GET(self):
        defect = self.defect(b"")
        if defect:
            self.answer(403, defect.encode())
        elif self.path in objects:
            self.answer(200, objects[self.path])
        else:
            self.answer(404)

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        defect = self.defect(body)
        if defect:
            self.answer(403, defect.encode())
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


http.server.ThreadingHTTPServer((os.environ.get("S3_ADDRESS", "127.0.0.1"), int(PORT)), Handler).serve_forever()
