"""What the sample services answer: a small shop that keeps its orders, charges and parcels in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

MOST_KEPT = 500
RATES = {"EUR": 1.0, "USD": 1.09, "GBP": 0.85, "JPY": 162.4, "CHF": 0.94}
PRODUCTS = {
    "OLJCESPC7Z": ("Sunglasses", 19.99),
    "66VCHSJNUP": ("Tank top", 18.99),
    "1YMWWN1N4O": ("Watch", 109.99),
    "L9ECAV7KIM": ("Loafers", 89.99),
    "2ZYFJ3GM2N": ("Hairdryer", 24.99),
    "0PUK6V6EV0": ("Candle holder", 18.99),
    "LS4PSXUNUM": ("Salt and pepper shakers", 18.49),
    "9SIQT8TOJO": ("Bamboo glass jar", 5.49),
    "6E92ZMYYFZ": ("Mug", 8.99),
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that reached a service: the parameters of its path, its query and its JSON body."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, Any]


class Missing(Exception):
    """There is no such thing."""


class Unfit(Exception):
    """The body asks for something that cannot be done."""


class Ledger:
    """Numbered records, the oldest forgotten first."""

    def __init__(self, prefix: str) -> None:
        self._prefix, self._numbers = prefix, count(1001)
        self._records: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def add(self, **fields: Any) -> dict[str, Any]:
        record = {"id": f"{self._prefix}_{next(self._numbers)}", **fields}
        self._records[record["id"]] = record
        while len(self._records) > MOST_KEPT:
            self._records.popitem(last=False)
        return record

    def get(self, record_id: str) -> dict[str, Any]:
        if record_id not in self._records:
            raise Missing(f"There is no {record_id}.")
        return self._records[record_id]

    def newest(self, limit: int = 20) -> list[dict[str, Any]]:
        return list(reversed(self._records.values()))[:limit]


def _ledger(prefix: str) -> Callable[[], Ledger]:
    return lambda: Ledger(prefix)


@dataclass
class Shop:
    """All services of the shop. Answers are keyed by service, method and path template."""

    charges: Ledger = field(default_factory=_ledger("ch"))
    refunds: Ledger = field(default_factory=_ledger("re"))
    orders: Ledger = field(default_factory=_ledger("or"))
    shipments: Ledger = field(default_factory=_ledger("sh"))
    mails: Ledger = field(default_factory=_ledger("em"))
    campaigns: Ledger = field(default_factory=_ledger("ca"))
    carts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for amount in (19.99, 109.99, 43.48):
            self.charges.add(amount=amount, currency="EUR", refunded=0.0)
        self._answers: dict[tuple[str, str, str], Callable[[Call], Any]] = {
            ("payments", "POST", "/charges"): self._charge,
            ("payments", "GET", "/charges"): lambda call: self.charges.newest(),
            ("payments", "GET", "/charges/{id}"): lambda call: self.charges.get(call.path["id"]),
            ("payments", "POST", "/refunds"): self._refund,
            ("payments", "GET", "/refunds/{id}"): lambda call: self.refunds.get(call.path["id"]),
            ("cart", "GET", "/carts/{user}"): lambda call: {"items": self.carts.get(call.path["user"], [])},
            ("cart", "POST", "/carts/{user}/items"): self._put_in_cart,
            ("cart", "DELETE", "/carts/{user}"): self._empty_cart,
            ("products", "GET", "/products"): lambda call: [_product(one) for one in PRODUCTS],
            ("products", "GET", "/products/{id}"): lambda call: _product(call.path["id"]),
            ("products", "GET", "/search"): self._search,
            ("currency", "GET", "/currencies"): lambda call: sorted(RATES),
            ("currency", "POST", "/conversions"): self._convert,
            ("shipping", "POST", "/quotes"): lambda call: {"amount": 4.99, "currency": "EUR", "days": 3},
            ("shipping", "POST", "/shipments"): lambda call: self.shipments.add(order=_text(call, "order"), at="depot"),
            ("shipping", "GET", "/shipments"): lambda call: self.shipments.newest(),
            ("shipping", "GET", "/shipments/{id}"): lambda call: self.shipments.get(call.path["id"]),
            ("email", "POST", "/confirmations"): lambda call: self.mails.add(order=_text(call, "order"), sent=True),
            ("email", "GET", "/confirmations/{id}"): lambda call: self.mails.get(call.path["id"]),
            ("checkout", "POST", "/orders"): lambda call: self.orders.add(state="placed", user=_text(call, "user")),
            ("checkout", "GET", "/orders"): lambda call: self.orders.newest(),
            ("checkout", "GET", "/orders/{id}"): lambda call: self.orders.get(call.path["id"]),
            ("checkout", "POST", "/orders/{id}/cancellation"): self._cancel,
            ("recommendations", "GET", "/recommendations"): lambda call: [_product(one) for one in list(PRODUCTS)[:4]],
            ("ads", "GET", "/ads"): lambda call: [{"text": "Mugs, two for one.", "product": "6E92ZMYYFZ"}],
            ("ads", "POST", "/campaigns"): lambda call: self.campaigns.add(name=_text(call, "name"), running=True),
            ("ads", "GET", "/campaigns/{id}"): lambda call: self.campaigns.get(call.path["id"]),
        }

    def answer(self, service: str, method: str, template: str, call: Call) -> Any:
        """What a service says; a route that the shop has no story for says that it was reached."""
        found = self._answers.get((service, method, template))
        return {"reached": template, **call.path} if found is None else found(call)

    def _charge(self, call: Call) -> dict[str, Any]:
        return self.charges.add(amount=_amount(call, 10.0), currency=_text(call, "currency") or "EUR", refunded=0.0)

    def _refund(self, call: Call) -> dict[str, Any]:
        """Without a charge in the body the newest one is meant, so that the shortest ``curl`` works."""
        named = _text(call, "charge")
        charge = self.charges.get(named) if named else self.charges.newest(1)[0]
        left = charge["amount"] - charge["refunded"]
        amount = _amount(call, left)
        if amount > left:
            raise Unfit(f"Of {charge['id']} only {left:.2f} is left to refund.")
        charge["refunded"] = round(charge["refunded"] + amount, 2)
        return self.refunds.add(charge=charge["id"], amount=amount, currency=charge["currency"], state="paid")

    def _put_in_cart(self, call: Call) -> dict[str, Any]:
        items = self.carts.setdefault(call.path["user"], [])
        items.append({"product": _text(call, "product") or "6E92ZMYYFZ", "quantity": 1})
        del items[:-20]
        return {"items": items}

    def _empty_cart(self, call: Call) -> dict[str, Any]:
        self.carts.pop(call.path["user"], None)
        return {"items": []}

    def _search(self, call: Call) -> list[dict[str, Any]]:
        wanted = call.query.get("q", "").lower()
        return [_product(one) for one, (name, _) in PRODUCTS.items() if wanted in name.lower()]

    def _convert(self, call: Call) -> dict[str, Any]:
        source, target = _text(call, "from") or "EUR", _text(call, "to") or "USD"
        if source not in RATES or target not in RATES:
            raise Unfit("One of the currencies is unknown.")
        return {"amount": round(_amount(call, 10.0) / RATES[source] * RATES[target], 2), "currency": target}

    def _cancel(self, call: Call) -> dict[str, Any]:
        order = self.orders.get(call.path["id"])
        order["state"] = "cancelled"
        return order


def _product(product_id: str) -> dict[str, Any]:
    if product_id not in PRODUCTS:
        raise Missing(f"There is no product {product_id}.")
    name, price = PRODUCTS[product_id]
    return {"id": product_id, "name": name, "price": price, "currency": "EUR"}


def _text(call: Call, name: str) -> str:
    value = call.body.get(name, "")
    return value if isinstance(value, str) else ""


def _amount(call: Call, default: float) -> float:
    value = call.body.get("amount", default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1_000_000:
        raise Unfit("The amount must be a number from 0 to a million.")
    return round(float(value), 2)
