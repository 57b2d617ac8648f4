"""What a whole database holds, to see that nothing was written."""

import asyncpg


async def contents(urls):
    """The rows of every table, as text."""
    connection = await asyncpg.connect(urls.owner)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found: dict[str, list[str]] = {name: [] for (name,) in tables}
        every = " UNION ALL ".join(f"SELECT '{name}', t::text FROM \"{name}\" t" for name in found)
        for name, row in await connection.fetch(every):
            found[name].append(row)
        return {name: sorted(rows) for name, rows in found.items()}
    finally:
        await connection.close()
