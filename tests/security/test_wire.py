import asyncio, pytest
from tests.support.server import serving
pytestmark = pytest.mark.anyio

async def talk(port, data, timeout=1.5):
    r, w = await asyncio.open_connection("127.0.0.1", port)
    out=b""; closed=False
    try:
        w.write(data); await w.drain()
        while True:
            chunk = await asyncio.wait_for(r.read(65536), timeout)
            if not chunk: closed=True; break
            out+=chunk
    except asyncio.TimeoutError: pass
    except ConnectionError as e: closed=repr(e)
    w.close()
    return out, closed

async def test_x(urls):
    async with serving(urls) as server:
        port = server.ports[0]
        H=b"Host: localhost\r\n"
        J=b"Content-Type: application/json\r\n"
        body=b'{"refresh_token":"x"}'
        cases = {
        "ok": b"GET /health/live HTTP/1.1\r\n"+H+b"\r\n",
        "cl+te": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "te+cl": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        "2cl": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "2cl same": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "cl list": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Content-Length: 5, 5\r\n\r\nhello",
        "cl +5": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Content-Length: +5\r\n\r\nhello",
        "cl neg": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Content-Length: -5\r\n\r\nhello",
        "cl huge": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Content-Length: "+b"9"*30+b"\r\n\r\nhello",
        "cl zeros": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Content-Length: "+b"0"*5000+b"\r\n\r\n",
        "te x": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "te chunked,identity": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "te gzip,chunked": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "te identity": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: identity\r\nContent-Length: 21\r\n\r\n"+body,
        "te 2x": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "te space colon": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "te tab": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n",
        "te vtab": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "te http10": b"POST /api/v1/auth/refresh HTTP/1.0\r\n"+H+J+b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "bad chunk": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        "chunk neg": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        "chunk 0x": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
        "chunk overflow": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: chunked\r\n\r\n"+b"f"*20+b"\r\n",
        "chunk lf": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: chunked\r\n\r\n1\na\n0\n\n",
        "chunk ext": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Transfer-Encoding: chunked\r\n\r\n0;a=b\r\n\r\n",
        "obs-fold": b"GET /health/live HTTP/1.1\r\n"+H+b"X-A: a\r\n b\r\n\r\n",
        "bare cr": b"GET /health/live HTTP/1.1\r\n"+H+b"X-A: a\rb\r\n\r\n",
        "bare lf": b"GET /health/live HTTP/1.1\nHost: localhost\n\n",
        "nul": b"GET /health/live HTTP/1.1\r\n"+H+b"X-A: a\0b\r\n\r\n",
        "no colon": b"GET /health/live HTTP/1.1\r\n"+H+b"XA\r\n\r\n",
        "space name": b"GET /health/live HTTP/1.1\r\n"+H+b"X A: b\r\n\r\n",
        "first fold": b"GET /health/live HTTP/1.1\r\n Host: localhost\r\n\r\n",
        "crlf id": b"GET /health/live HTTP/1.1\r\n"+H+b"X-Request-Id: aaaaaaaa\r\nSet-Cookie: x=1\r\n\r\n",
        "cr id": b"GET /health/live HTTP/1.1\r\n"+H+b"X-Request-Id: aaaaaaaa\rSet-Cookie: x=1\r\n\r\n",
        "lf id": b"GET /health/live HTTP/1.1\r\n"+H+b"X-Request-Id: aaaaaaaa\nSet-Cookie: x=1\r\n\r\n",
        "no host": b"GET /health/live HTTP/1.1\r\n\r\n",
        "2 host": b"GET /health/live HTTP/1.1\r\n"+H+b"Host: evil.example\r\n\r\n",
        "http/0.9": b"GET /health/live\r\n\r\n",
        "http/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "http/1.2": b"GET /health/live HTTP/1.2\r\n"+H+b"\r\n",
        "http/3": b"GET /health/live HTTP/3.0\r\n"+H+b"\r\n",
        "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "connect": b"CONNECT localhost:80 HTTP/1.1\r\n"+H+b"\r\n",
        "options *": b"OPTIONS * HTTP/1.1\r\n"+H+b"\r\n",
        "abs": b"GET http://evil.example/health/live HTTP/1.1\r\n"+H+b"\r\n",
        "abs nopath": b"GET http://evil.example HTTP/1.1\r\n"+H+b"\r\n",
        "//": b"GET //health/live HTTP/1.1\r\n"+H+b"\r\n",
        "space in path": b"GET /health/li ve HTTP/1.1\r\n"+H+b"\r\n",
        "utf8 path": "GET /health/é HTTP/1.1\r\n".encode()+H+b"\r\n",
        "fragment": b"GET /health/live#x HTTP/1.1\r\n"+H+b"\r\n",
        "upgrade h2c": b"GET /health/live HTTP/1.1\r\n"+H+b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
        "upgrade ws": b"GET /health/live HTTP/1.1\r\n"+H+b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "upgrade post": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 21\r\n\r\n"+body,
        "expect": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Expect: 100-continue\r\nContent-Length: 99999\r\n\r\n",
        "huge header": b"GET /health/live HTTP/1.1\r\n"+H+b"X-A: "+b"a"*1_000_000+b"\r\n\r\n",
        "huge header 20M": b"GET /health/live HTTP/1.1\r\n"+H+b"X-A: "+b"a"*20_000_000+b"\r\n\r\n",
        "many headers": b"GET /health/live HTTP/1.1\r\n"+H+b"".join(b"X-%d: a\r\n"%i for i in range(100_000))+b"\r\n",
        "huge url": b"GET /"+b"a"*1_000_000+b" HTTP/1.1\r\n"+H+b"\r\n",
        "unterminated": b"GET /health/live HTTP/1.1\r\n"+H+b"X-A: "+b"a"*10_000_000,
        "head": b"HEAD /health/live HTTP/1.1\r\n"+H+b"\r\n",
        "get body": b"GET /health/live HTTP/1.1\r\n"+H+b"Content-Length: 5\r\n\r\nhelloGET /docs/errors/x HTTP/1.1\r\n"+H+b"\r\n",
        "pipeline": (b"GET /health/live HTTP/1.1\r\n"+H+b"\r\n")*3,
        "413 big": b"POST /api/v1/auth/refresh HTTP/1.1\r\n"+H+J+b"Content-Length: 99999999\r\n\r\n"+b"a"*3_000_000,
        }
        for n,d in cases.items():
            out, closed = await talk(port, d)
            print(f"{n:20} closed={closed} {len(out)} {[l[:60] for l in out.split(bytes([13,10])) if l.startswith(b'HTTP/')][:5]} {out[-90:]!r}" )
        print(server.logs()[-3000:])
        print(open(f"/proc/{server.workers[0].pid}/status").read().split("VmRSS")[1][:30])
