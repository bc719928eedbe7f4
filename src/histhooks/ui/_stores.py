"""The stores that a server shows, each read in a few threads that keep their connection, for each identity apart."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from histhooks._host.store_location import is_target
from histhooks.errors import HisthooksError
from histhooks.history import History
from histhooks.team.postgres.address import in_the_name_of, is_database
from histhooks.ui._places import Place, place_of
from histhooks.ui._shared import Shared, files_of
from histhooks.ui._verification import Verifications

Answer = TypeVar("Answer")

_THREADS = 4
_MOST_WAITING = 64
_MOST_SEEN = 64  # identities whose stores are open at once
_IDLE_S = 60.0


class Busy(HisthooksError):
    """More people ask than can be answered soon."""


class Seen(Mapping[str, History]):
    """The stores as one identity sees them: nothing that is kept here is of another one.

    Parameters
    ----------
    identity : str
        Empty if the server asks for none.
    opened : dict
        A :class:`histhooks.History` by its name, of the stores that everybody sees alike.
    addresses : dict
        Of the other stores: what is opened in the name of this identity.
    places : dict
        A :class:`Place` by its name.

    me : str
        The actor whose runs are called mine, if there is no identity.

    Attributes
    ----------
    shared : Shared
        Answers that several visits get.
    verifications : Verifications
        Of the stores.
    watchers : dict
        What follows each store while pages are open.
    cursors : dict
        Up to where each store was followed.
    n_asked : int
        How many requests and streams are being answered.
    """

    def __init__(
        self,
        identity: str,
        opened: dict[str, History],
        addresses: dict[str, str],
        places: dict[str, Place],
        me: str = "",
    ) -> None:
        self.me = identity or me
        self.identity, self.places = identity, places
        self.shared, self.verifications = Shared(), Verifications()
        self.watchers: dict[str, Any] = {}
        self.cursors: dict[str, str] = {}
        self.n_asked = 0
        self.asked_s = time.monotonic()
        self._opened = dict(opened)
        self._addresses = addresses
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)

    def __contains__(self, name: object) -> bool:
        return name in self.places

    def __getitem__(self, name: str) -> History:
        """The store, which is opened where it is not yet: that may take a while, or be refused."""
        found = self._opened.get(name)
        if found is not None:
            return found
        address = self._addresses[name]
        with self._lock:
            if name not in self._opened:
                self._opened[name] = History(address)
            return self._opened[name]

    def is_open(self, name: str) -> bool:
        """Whether a store can be asked at once."""
        return name in self._opened

    def files(self, name: str) -> tuple[Any, ...]:
        """What changes with every commit to a store; nothing of a target, which is asked anew."""
        history = self._opened.get(name)
        return () if history is None or is_target(history.source) else files_of(history.path)

    def is_gone(self, name: str) -> bool:
        """Whether nothing of an open file is left where it was."""
        history = self._opened.get(name)
        return history is not None and not is_target(history.source) and not self.files(name)

    def state(self, name: str) -> tuple[Any, ...]:
        """What an answer holds for: it is made anew if a change of the store was seen."""
        return (*self.files(name), self.cursors.get(name))

    def source(self, name: str) -> str:
        """What another process reads to see the same."""
        return self._addresses.get(name) or self[name].source

    @contextmanager
    def asked(self) -> Iterator[None]:
        """While something is answered, nothing is let go."""
        self.n_asked += 1
        try:
            yield
        finally:
            self.n_asked -= 1
            self.asked_s = time.monotonic()

    def close(self) -> None:
        """Let go of what is of this identity alone."""
        self.verifications.close()
        for name in self._addresses:
            if name in self._opened:
                self._opened[name].close()


class Stores:
    """Stores by the name that stands in their URLs.

    Parameters
    ----------
    stores : sequence of str, path or History
        Each at least one store. A History is left open when the server ends.
    by_identity : bool
        Whether each visitor has a name, in which databases are asked.
    me : str
        The actor whose runs are called mine, where visitors have no names.

    Attributes
    ----------
    form : str
        What forms are made with; empty if nothing may be written.
    may_take : bool
        Whether files that were kept are given.
    """

    def __init__(
        self, stores: Sequence[str | os.PathLike[str] | History], *, by_identity: bool = False, me: str = ""
    ) -> None:
        self.form = ""
        self.may_take = False
        self.by_identity = by_identity
        self._own: list[History] = []
        self._places: dict[str, Place] = {}
        self._opened: dict[str, History] = {}
        self._addresses: dict[str, str] = {}
        for store in stores:
            self._add(store)
        self._everybody = Seen("", self._opened, {}, self._places, me)
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="histhooks-ui")
        self._waiting = 0

    def _add(self, store: str | os.PathLike[str] | History) -> None:
        taken = set(self._places)
        word = store.source if isinstance(store, History) else store
        if self.by_identity and is_database(word):
            place = place_of(str(word), taken)
            self._addresses[place.name] = str(word)
        else:
            history = store if isinstance(store, History) else History(store)
            if history is not store:
                self._own.append(history)
            place = place_of(history.source, taken)
            self._opened[place.name] = history
        self._places[place.name] = place

    @property
    def places(self) -> list[Place]:
        """How the stores are called."""
        return list(self._places.values())

    def form_of(self, identity: str) -> str:
        """What the forms of an identity carry; empty if nothing may be written."""
        return hmac.new(self.form.encode(), identity.encode(), hashlib.sha256).hexdigest() if self.form else ""

    def seen_by(self, identity: str) -> Seen:
        """The stores as an identity sees them; opens nothing yet."""
        if not identity:
            return self._everybody
        now = time.monotonic()
        found = self._seen.get(identity)
        if found is None:
            addresses = {name: in_the_name_of(word, identity) for name, word in self._addresses.items()}
            found = self._seen[identity] = Seen(identity, self._opened, addresses, self._places)
        self._seen.move_to_end(identity)
        found.asked_s = now
        for each in list(self._seen.values()):
            is_old = now - each.asked_s > _IDLE_S or len(self._seen) > _MOST_SEEN
            if is_old and not each.n_asked and each is not found:
                del self._seen[each.identity]
                self._pool.submit(each.close)
        return found

    async def ask(self, question: Callable[[], Answer]) -> Answer:
        """Answer a question in one of the threads that read.

        Raises
        ------
        Busy
            If too many wait already.
        """
        if self._waiting >= _THREADS + _MOST_WAITING:
            raise Busy("the server answers others; try again in a moment")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, question)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Let go of all stores."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        for each in (self._everybody, *self._seen.values()):
            each.close()
        for history in self._own:
            history.close()
