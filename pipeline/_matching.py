"""Which reply belongs to which request: by key, or in order.

Rules for this file: it waits for nothing and knows no event loop. A request is *reserved* when a caller
asks, *begun* when it is about to be written; from then on a reply can be its own. A request whose caller
has *left* keeps its place, so that its late reply is nobody else's; how many may is limited.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar


class Request:
    """One request, and how far it is.

    Attributes:
        item: what is to be written; None once it is.
        key: what its reply is known by.
        begun: whether it is being written, or was.
        left: whether its caller has gone.
    """

    __slots__ = ("begun", "item", "key", "left")

    def __init__(self, item: Any) -> None:
        self.item = item
        self.key: Hashable = None
        self.begun = self.left = False


Q = TypeVar("Q", bound=Request)


class Matching(ABC, Generic[Q]):
    """What the two ways have in common."""

    @abstractmethod
    def reserve(self, request: Q) -> None:
        """A caller asks; it may be refused."""

    @abstractmethod
    def begin(self, request: Q) -> None:
        """It is about to be written, so that its reply may come."""

    @abstractmethod
    def find(self, item: Any) -> Q | None:
        """The request that the item is the reply to, which ends with it; None: the item is no reply."""

    @abstractmethod
    def leave(self, request: Q) -> None:
        """The caller of a begun request has gone; its reply may still come."""

    @abstractmethod
    def forget(self, request: Q) -> None:
        """No reply to it will come, as it did not go out."""

    @property
    def holds_back(self) -> bool:
        """Whether no request may be begun now."""
        return False


class ByKey(Matching[Q]):
    """A reply has the key of its request.

    Args:
        key: of a reply, or None if the item is none.
        request_key: of a request.
        max_late: how many keys are remembered whose callers have left; beyond, the oldest is forgotten.
    """

    def __init__(
        self, key: Callable[[Any], Hashable], request_key: Callable[[Any], Hashable], *, max_late: int
    ) -> None:
        self._key, self._request_key, self._max_late = key, request_key, max_late
        self._requests: dict[Hashable, Q] = {}
        self._left: OrderedDict[Hashable, None] = OrderedDict()

    def reserve(self, request: Q) -> None:
        key = self._request_key(request.item)
        if key is None:
            raise ValueError("this request's key is None, so no reply would be its own; without a reply: notify(item)")
        if key in self._left:
            raise ValueError(
                f"the call with the key {key!r} was cancelled after its request went out, and its reply may still "
                f"come: take another key"
            )
        if key in self._requests:
            raise ValueError(f"a call with the key {key!r} is waiting already: give each call a key of its own")
        request.key = key
        self._requests[key] = request

    def begin(self, request: Q) -> None:
        request.begun = True

    def find(self, item: Any) -> Q | None:
        key = self._key(item)
        request = None if key is None else self._requests.get(key)
        if request is None or not request.begun:
            return None
        self.forget(request)
        return request

    def leave(self, request: Q) -> None:
        request.left = True
        self._left[request.key] = None
        if len(self._left) > self._max_late:
            oldest, _ = self._left.popitem(last=False)
            del self._requests[oldest]

    def forget(self, request: Q) -> None:
        if self._requests.get(request.key) is request:
            del self._requests[request.key]
            self._left.pop(request.key, None)


class InOrder(Matching[Q]):
    """The peer answers one request after the other, in the order in which they were written.

    Args:
        max_late: how many replies may still come whose callers have left, until no request is begun.
    """

    def __init__(self, *, max_late: int) -> None:
        self._requests: deque[Q] = deque()
        self._left, self._max_late = 0, max_late

    def reserve(self, request: Q) -> None:
        """Any request will do."""

    def begin(self, request: Q) -> None:
        request.begun = True
        self._requests.append(request)

    def find(self, item: Any) -> Q | None:
        if not self._requests:
            return None
        request = self._requests.popleft()
        self._left -= request.left
        return request

    def leave(self, request: Q) -> None:
        request.left = True
        self._left += 1

    def forget(self, request: Q) -> None:
        # Requests are written one at a time, so what has just failed to go out is the last one.
        if self._requests and self._requests[-1] is request:
            self._requests.pop()
            self._left -= request.left

    @property
    def holds_back(self) -> bool:
        return self._left >= self._max_late
