"""What verifying one stored hash may cost, wherever the hash came from: it is work that others wait for."""

ARGON2_MEMORY_KIB, ARGON2_ITERATIONS, ARGON2_PARALLELISM = 262144, 10, 8
BCRYPT_LOG_ROUNDS = 14
# Twice what Django 6 asks for; about two seconds of one core.
PBKDF2_ITERATIONS = 2_500_000
SCRYPT_MEMORY_BYTES = 256 * 1024 * 1024
# The lanes of scrypt are worked off one after another. Their buffers are 128·r·p bytes beside the memory above.
SCRYPT_LANES, SCRYPT_BLOCK_SIZE = 16, 64


def is_argon2_affordable(*, memory_kib: int, iterations: int, parallelism: int) -> bool:
    return (
        memory_kib <= ARGON2_MEMORY_KIB
        and iterations <= ARGON2_ITERATIONS
        and parallelism <= ARGON2_PARALLELISM
    )


def is_scrypt_affordable(*, n: int, r: int, p: int) -> bool:
    return r <= SCRYPT_BLOCK_SIZE and p <= SCRYPT_LANES and 128 * n * r <= SCRYPT_MEMORY_BYTES
