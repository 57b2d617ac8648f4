"""What a whole database holds, to see that nothing was written."""

import asyncpg


async def contents(urls):
    """The rows of every table, as text."""
    connection = await asyncpg.connect(urls.owner)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {
            name: sorted(row[0] for row in await connection.fetch(f'SELECT t::text FROM "{name}" t'))
            for (name,) in tables
        }
    finally:
        await connection.close()
