"""What was guessed at an account is forgotten, because its owner has proven themselves otherwise."""

from keystead.kernel.db import Tx
from keystead.kernel.ids import UserId

# Joins users and guesses.
FORGET_GUESSES = "DELETE FROM guesses WHERE account = (SELECT email_index FROM users WHERE id = $1)"


async def forget_guesses(tx: Tx, user_id: UserId) -> None:
    await tx.execute(FORGET_GUESSES, user_id)
