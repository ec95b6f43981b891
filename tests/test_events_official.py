"""Downloads, from a server on this machine alone."""

import gzip
import hashlib
import http.server
import threading

import pytest

from events import official

BODY = b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 20_000


@pytest.fixture
def server(monkeypatch):
    """Files by name; what is asked for is in `asked`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    packed = gzip.compress(BODY, mtime=0)
    files = {"shd_train.h5.gz": packed, "shd_test.h5.gz": packed}
    md5 = hashlib.md5(packed).hexdigest()
    files["md5sums.txt"] = f"{md5}  shd_train.h5.gz\n{md5} *shd_test.h5.gz\n".encode()
    monkeypatch.setattr(official, "MD5", {**official.MD5, "shd_train.h5": md5, "shd_test.h5": None})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path.removeprefix("/data/"))
            body = files.get(asked[-1])
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *args):
            pass

    asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        httpd.files, httpd.asked = files, asked
        httpd.url = f"http://127.0.0.1:{httpd.server_port}/data"
        yield httpd
        httpd.shutdown()
        thread.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files_arrive_whole_and_once(tmp_path, server):
    paths = official.fetch(tmp_path / "new" / "folder", url=server.url)
    assert [path.name for path in paths] == ["shd_train.h5", "shd_test.h5"]
    assert [path.read_bytes() for path in paths] == [BODY, BODY]
    assert names(paths[0].parent) == ["shd_test.h5", "shd_train.h5"]
    assert server.asked == ["md5sums.txt", "shd_train.h5.gz", "shd_test.h5.gz"]
    paths[1].unlink()
    official.fetch(paths[0].parent, url=server.url)
    assert server.asked[3:] == ["md5sums.txt", "shd_test.h5.gz"]
    official.fetch(paths[0].parent, url="http://127.0.0.1:9")  # nothing missing, nobody asked


@pytest.mark.parametrize(
    "change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[:9] + b"x" + b[10:]]
)
def test_another_file_is_not_kept(tmp_path, server, change):
    server.files["shd_train.h5.gz"] = change(server.files["shd_train.h5.gz"])
    with pytest.raises(ValueError, match=r"^shd_train\.h5\.gz arrived with MD5 [0-9a-f]{32}, not "):
        official.fetch(tmp_path, url=server.url)
    assert names(tmp_path) == []


def test_a_server_that_announces_another_file_is_not_believed(tmp_path, server):
    server.files["md5sums.txt"] = b"0" * 32 + b"  shd_train.h5.gz\n"
    with pytest.raises(
        ValueError, match=r"^the server announces MD5 0{32} for shd_train\.h5\.gz, but"
    ):
        official.fetch(tmp_path, url=server.url)
    server.files["md5sums.txt"] = b""
    with pytest.raises(ValueError, match=r"does not list shd_train\.h5\.gz, so it is not fetched"):
        official.fetch(tmp_path, url=server.url)


def test_what_is_too_large_is_not_kept(tmp_path, server, monkeypatch):
    monkeypatch.setattr(official, "MAX_UNPACKED", len(BODY) - 1)
    with pytest.raises(ValueError, match=f"^shd_train.h5 is larger than {len(BODY) - 1} bytes"):
        official.fetch(tmp_path, url=server.url)
    monkeypatch.setattr(official, "MAX_DOWNLOAD", 100)
    with pytest.raises(ValueError, match=r"^shd_train\.h5\.gz is larger than 100 bytes"):
        official.fetch(tmp_path, url=server.url)
    assert names(tmp_path) == []


def test_what_is_not_gzip_is_refused(tmp_path, server):
    server.files["shd_test.h5.gz"] = b"no gzip"
    md5 = hashlib.md5(b"no gzip").hexdigest()
    server.files["md5sums.txt"] = f"{md5}  shd_test.h5.gz".encode()
    with pytest.raises(ValueError, match=r"^shd_test\.h5\.gz cannot be unpacked \(Not a gzipped"):
        official.fetch(tmp_path, ("shd_test.h5",), url=server.url)
    assert names(tmp_path) == []


def test_without_a_network_it_says_what_to_do(tmp_path, server):
    del server.files["md5sums.txt"]
    with pytest.raises(OSError, match="could not fetch") as error:
        official.fetch(tmp_path, url=server.url)
    assert str(error.value) == (
        f"could not fetch {server.url}/md5sums.txt (HTTP Error 404: Not Found); put shd_train.h5 "
        f"and shd_test.h5 into {tmp_path} by hand, unpacked with gunzip"
    )
    with pytest.raises(
        OSError, match=r"^could not fetch http://127.0.0.1:9/md5sums.txt \(.*refused"
    ):
        official.fetch(tmp_path, url="http://127.0.0.1:9")


def test_only_published_files_from_the_web(tmp_path):
    with pytest.raises(
        ValueError, match=r"^there is no published file '\.\./x\.h5', only shd_train"
    ):
        official.fetch(tmp_path, ("../x.h5",))
    with pytest.raises(ValueError, match=r"is no web address; it must begin with https://$"):
        official.fetch(tmp_path, url="file:///etc")
