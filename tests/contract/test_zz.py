import pytest, time
from tests.support.people import *
pytestmark = pytest.mark.anyio
@pytest.mark.parametrize("n", range(5))
async def test_time(client, n):
    t=time.perf_counter(); p = await register(client); print("reg", time.perf_counter()-t)
    t=time.perf_counter(); a = await client.get("/api/v1/users/me", headers=p.bearer); print("me", time.perf_counter()-t)
    for body in ('{"preferences":{"a":1e25,"b":'+"9"*4000+'}}','{"preferences":{"a":1e308}}', '{"preferences":{"a":1e-307}}','{"preferences":{"a":-0.0}}','{"preferences":{"a":"\\u0000"}}', '{"full_name":"\\ud800"}', '['*100000):
        a = await client.put("/api/v1/users/me", headers=p.bearer|{"content-type":"application/json"}, content=body)
        print(a.status_code, a.text[:300])
        a = await client.get("/api/v1/users/me", headers=p.bearer)
        print(a.status_code, len(a.text), a.text[:300])
    for path in ("/api/v1/users%2fme","/api/v1/users/me%0a","//api/v1/users/me","/api/v1/users/me/","/api/v1/users/./me","/api/v1/x/../users/me", "/api/v1/users/me;x", "/%61pi/v1/users/me"):
        a = await client.get(path, headers=p.bearer)
        print(path, a.request.url, a.status_code)
