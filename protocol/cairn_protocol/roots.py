"""`Agreement`: one clinic's part in a setup's keys. `Roots`: what it yields, turned every round.

A root of a pair is known to its two clinics alone. After `turn` the root before is gone, so a
keeper's memory, taken later, opens nothing that was uploaded in earlier rounds.  # SPEC 7.4
"""

from __future__ import annotations

from collections.abc import Mapping

from cairn_protocol.codec import refuse
from cairn_protocol.errors import OurFault
from cairn_protocol.keys import (
    KeyPair,
    encapsulate,
    encapsulates,
    erase,
    pair_root,
    pair_seed,
    ratcheted,
    share_key,
)
from cairn_protocol.setup_messages import KeyPackage, Packages


class Agreement:
    """Between `greet` (every key package is known) and `finish` (every ciphertext is).

    Args:
        own: this clinic's index.
    """

    def __init__(self, own: int, pair: KeyPair) -> None:
        self.pair = pair
        self._own = own

    def greet(self, packages: Packages) -> Greeted:
        """The X25519 secret with every peer, and ML-KEM's with those that this clinic serves.

        Raises:
            PeerFault: a key is weak or invalid.
        """
        x25519: dict[int, bytes] = {}
        mlkem: dict[int, tuple[bytes, bytes]] = {}
        for package in packages.packages:
            if package.clinic != self._own:
                x25519[package.clinic] = self.pair.agree(package.x25519)
                if encapsulates(self._own, package.clinic):
                    mlkem[package.clinic] = encapsulate(package.mlkem)
        return Greeted(self._own, self.pair, packages, x25519, mlkem)


class Greeted:
    """A clinic's secrets while ciphertexts are on their way; `ciphertexts` are its own."""

    def __init__(
        self,
        own: int,
        pair: KeyPair,
        packages: Packages,
        x25519: dict[int, bytes],
        mlkem: dict[int, tuple[bytes, bytes]],
    ) -> None:
        self._own, self._pair, self._packages = own, pair, packages
        self._x25519, self._mlkem = x25519, mlkem

    @property
    def ciphertexts(self) -> dict[int, bytes]:
        """What each peer to whom this clinic encapsulates is to be sent."""
        return {peer: ciphertext for peer, (_, ciphertext) in self._mlkem.items()}

    def finish(self, received: Mapping[int, bytes]) -> Roots:
        """The roots, with every peer's ciphertext (empty where this clinic encapsulates).

        Raises:
            PeerFault: a ciphertext is missing, or came the wrong way.
        """
        t1, run = self._packages.t1, self._packages.run
        keys = {p.clinic: (p.clinic, _keys(p)) for p in self._packages.packages}
        roots: dict[int, bytearray] = {}
        for peer, x25519 in self._x25519.items():
            came = received.get(peer, b"")
            if bool(came) == (peer in self._mlkem):  # R7
                refuse("ciphertext", "a clinic's note does not hold the ciphertext that it should")
            mlkem, ciphertext = self._mlkem.get(peer) or (self._pair.decapsulate(came), came)
            low, high = sorted((keys[self._own], keys[peer]))
            root = pair_root(t1, run, (mlkem, x25519), low=low, high=high, ciphertext=ciphertext)
            roots[peer] = bytearray(root)
        return Roots(self._own, roots)


class Roots:
    """One root for each peer of a setup, as of the round that comes next."""

    def __init__(self, own: int, roots: dict[int, bytearray]) -> None:
        self._own, self._roots = own, roots

    def copy(self) -> Roots:
        """The same roots, to turn without touching these."""
        return Roots(self._own, {peer: bytearray(root) for peer, root in self._roots.items()})

    def turn(self, transcript: bytes) -> None:
        """Past the round with this transcript."""
        for peer, root in self._roots.items():
            self._root(peer)[:] = ratcheted(root, transcript)

    def seeds(self, header: bytes) -> dict[int, bytes]:
        """The mask seed with each peer, for the header with this digest."""
        return {peer: pair_seed(self._root(peer), header) for peer in self._roots}

    def seed(self, peer: int, header: bytes) -> bytes:
        """The mask seed with one peer."""
        return pair_seed(self._root(peer), header)

    def sealing(self, receiver: int, header: bytes) -> bytes:
        """The key for this clinic's share for `receiver`."""
        return share_key(self._root(receiver), self._own, receiver, header)

    def unsealing(self, sender: int, header: bytes) -> bytes:
        """The key of `sender`'s share for this clinic."""
        return share_key(self._root(sender), sender, self._own, header)

    def erase(self) -> None:
        """Overwrites every root."""
        for root in self._roots.values():
            erase(root)
        self._roots = {}

    def _root(self, peer: int) -> bytearray:
        if peer not in self._roots:
            raise OurFault("there is no root with this clinic", code="keys-erased")
        return self._roots[peer]


def _keys(package: KeyPackage) -> bytes:
    return package.x25519 + package.mlkem
