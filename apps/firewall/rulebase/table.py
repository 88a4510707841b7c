"""A table of lines: CSV, TSV, or what a spreadsheet puts on the clipboard. The first row names the columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial
from itertools import product

from apps.firewall.lines import ANY, DIRECTION_CELLS, Action, Direction, Line
from apps.firewall.rulebase.days import read_day
from apps.firewall.rulebase.reading import MAX_PER_RULE, Bad, Reading, attempt
from apps.firewall.rulebase.words import (
    NO_ENDS,
    NO_SERVICES,
    read_both,
    read_ends,
    short,
)

DELIMITERS = ("\t", ";", ",", "|")
LONGEST_TEXT = 2_000

# What people call the columns, in English, German, French, Spanish, Italian and Dutch; compared without case, and with
# every other sign as a blank.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "source": ("source", "src", "from", "sources", "source address", "source ip", "source addresses", "src ip",
               "source ips", "source host", "source hosts", "source ip address", "source ip addresses", "from ip",
               "srcaddr", "src addr", "source network", "quelle", "von", "quell ip", "quelladresse", "quell adresse",
               "adresse source", "ip source", "origine", "de", "depuis", "origen", "ip origen", "desde",
               "sorgente", "ip sorgente", "da", "bron", "bronadres", "bron ip", "van"),
    "destination": ("destination", "dst", "dest", "to", "target", "destinations", "destination address", "dst ip",
                    "destination ip", "destination ips", "destination host", "destination hosts", "to ip",
                    "destination ip address", "destination ip addresses", "dest ip", "destination addresses", "dstaddr",
                    "dst addr", "destination network", "ziel", "nach", "ziel ip", "zieladresse", "ziel adresse",
                    "adresse destination", "ip destination", "adresse de destination", "vers", "destino", "ip destino",
                    "hacia", "destinazione", "ip destinazione", "bestemming", "doel", "doeladres", "doel ip", "naar"),
    "protocol": ("protocol", "proto", "protokoll", "ip protocol", "protocols", "protocole", "protocolo", "protocollo"),
    "ports": ("port", "ports", "dport", "dst port", "destination port", "destination ports", "service", "services",
              "dest port", "dst ports", "port s", "zielport", "ziel port", "zielports", "dienst", "dienste", "diensten",
              "port destination", "port de destination", "puerto", "puertos", "puerto destino", "servicio", "porta",
              "porte", "servizio", "poort", "poorten", "doelpoort"),
    "action": ("action", "policy", "verdict", "permission", "aktion", "allow deny", "permit deny", "acción", "accion",
               "azione", "actie"),
    "direction": ("direction", "dir", "richtung", "sens", "dirección", "direccion", "sentido", "direzione", "richting"),
    "reason": ("reason", "comment", "comments", "description", "justification", "ticket", "note", "notes", "purpose",
               "grund", "kommentar", "beschreibung", "zweck", "bemerkung", "begründung", "business justification",
               "motif", "raison", "commentaire", "motivo", "razón", "razon", "comentario", "descripción", "descripcion",
               "commento", "descrizione", "reden", "opmerking", "omschrijving", "toelichting"),
    "until": ("until", "expires", "expiry", "expiration", "valid until", "end", "end date", "expiry date", "bis",
              "gültig bis", "ablauf", "ablaufdatum", "expiration date", "date de fin", "expire le", "jusqu au", "hasta",
              "fecha fin", "fecha de fin", "caducidad", "fino al", "scadenza", "data fine", "tot", "einddatum",
              "geldig tot"),
    "hits": ("hits", "hit count", "hitcount", "packets", "counter", "treffer", "pakete"),
    "enabled": ("enabled", "active", "aktiv", "state", "status"),
    "disabled": ("disabled", "inactive", "inaktiv", "deaktiviert"),
}  # fmt: skip
# Columns that make a line narrower in a way nobody here computes.
NARROWING = frozenset(
    {"source port", "src port", "sport", "quellport", "source zone", "destination zone", "from zone", "to zone", "zone",
     "src zone", "dst zone", "application", "app", "user", "users", "schedule", "interface", "in interface",
     "out interface", "srcintf", "dstintf", "vlan", "profile"}
)  # fmt: skip
_FIELD_OF = {name: field for field, names in COLUMNS.items() for name in names}
_ALLOWING = frozenset(
    {"allow", "allowed", "accept", "permit", "permitted", "pass", "yes", "erlauben", "erlaubt", "zulassen", "ja",
     "autoriser", "permitir", "aceptar", "consenti", "permetti", "toestaan"}
)  # fmt: skip
_DENYING = frozenset(
    {"deny", "denied", "drop", "reject", "block", "blocked", "no", "verbieten", "verboten", "sperren", "nein",
     "refuser", "bloquer", "interdire", "denegar", "bloquear", "rechazar", "nega", "blocca", "weigeren", "blokkeren"}
)  # fmt: skip
_INVISIBLE = dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))
"""Signs of no width, which come along when a cell is copied from a page."""
_RULER = re.compile(r":?-+:?")
MOST_ABOVE = 30
"""So many rows may stand above the names of the columns: a title, a date, a blank."""
_TRUE = frozenset({"yes", "true", "1", "y", "x", "on", "enabled", "active", "ja", "aktiv", "wahr"})
_FALSE = frozenset({"no", "false", "0", "n", "off", "disabled", "inactive", "nein", "inaktiv", "falsch"})


@dataclass(frozen=True, slots=True)
class Row:
    """``first`` and ``last`` are the lines of the text it stands on, from 1."""

    first: int
    last: int
    text: str
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Heading:
    """Which column holds which field, and which only make a line narrower. ``above`` counts the rows before."""

    delimiter: str
    fields: Mapping[str, int]
    narrowing: Mapping[str, int]
    aside: tuple[str, ...]
    first: int
    above: int = 0


def looks_so(text: str) -> bool:
    return _heading(text) is not None


def read(text: str, reading: Reading, today: date | None) -> None:
    heading = _heading(text)
    if heading is None:
        reading.blame(1, "The first row should name the columns, a source and a destination among them.")
        return
    if heading.above:
        reading.note(1, "What stands above the names of the columns is not looked at.")
    for name in heading.aside:
        reading.note(heading.first, f"The column {short(name)} is not looked at.")
    above: dict[str, str] = {}
    try:
        for row in _rows(text, heading.delimiter):
            if row.first > heading.first and not _is_empty(row):
                above = _read_row(row, heading, reading, today, above)
    except csv.Error as error:
        reading.blame(0, f"This is no table: {error}.")


def without(text: str, numbers: Collection[int]) -> str:
    """The table without the rows of these numbers; everything else as it was written."""
    heading = _heading(text)
    gone: set[int] = set()
    for row in _rows(text, heading.delimiter) if heading else ():
        if row.first in numbers:
            gone.update(range(row.first, row.last + 1))
    return "".join(line for number, line in enumerate(io.StringIO(text, newline=""), 1) if number not in gone)


def _rows(text: str, delimiter: str) -> Iterator[Row]:
    kept: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            kept.append(line)
            yield line

    reader, before = csv.reader(lines(), delimiter=delimiter), 0
    for cells in reader:
        raw = "".join(kept).rstrip("\r\n")
        yield Row(before + 1, before + len(kept), raw, cells)
        before += len(kept)
        kept.clear()


def _is_empty(row: Row) -> bool:
    cells = [cell.strip() for cell in row.cells if cell.strip()]
    return not cells or row.text.lstrip().startswith("#") or all(_RULER.fullmatch(cell) for cell in cells)


def _heading(text: str) -> Heading | None:
    found = [heading for delimiter in DELIMITERS if (heading := _heading_by(text, delimiter)) is not None]
    return max(found, key=lambda heading: len(heading.fields), default=None)


def _heading_by(text: str, delimiter: str) -> Heading | None:
    """The first row of a few that names both ends. It may begin with a number sign: that heads a column too."""
    above = 0
    try:
        for _, row in zip(range(MOST_ABOVE), _rows(text[:20_000], delimiter), strict=False):
            if (found := _named_by(row, delimiter, above)) is not None:
                return found
            above += not (_is_empty(row) or row.text.lower().startswith("sep="))
    except csv.Error:
        pass
    return None


def _named_by(row: Row, delimiter: str, above: int) -> Heading | None:
    fields: dict[str, int] = {}
    narrowing: dict[str, int] = {}
    aside: list[str] = []
    cells = row.cells[::2] if row.text.startswith("||") and delimiter == "|" else row.cells
    for number, cell in enumerate(cells[:200]):
        name = _plain(cell)
        field = _FIELD_OF.get(name)
        if field is not None and field not in fields:
            fields[field] = number
        elif name in NARROWING:
            narrowing[name] = number
        elif name:
            aside.append(cell.strip())
    if not {"source", "destination"} <= fields.keys():
        return None
    return Heading(delimiter, fields, narrowing, tuple(aside), row.first, above)


def _plain(cell: str) -> str:
    return " ".join(re.sub(r"[^\w]|_", " ", cell[:80].translate(_INVISIBLE).lower()).split())


def _read_row(
    row: Row, heading: Heading, reading: Reading, today: date | None, above: Mapping[str, str]
) -> dict[str, str]:
    """Returns its cells, for the row below."""
    cells = {field: _cell(row.cells[at]) for field, at in heading.fields.items() if at < len(row.cells)}
    problems: list[str] = []
    if not _is_enabled(cells, problems):
        reading.note(row.first, "The line is switched off, and left aside.")
        return cells
    narrowing = tuple(
        f"{name} is {' '.join(row.cells[at].split())[:100]}"
        for name, at in heading.narrowing.items()
        if at < len(row.cells) and row.cells[at].strip().lower() not in ("", ANY, "*", "all", "alle")
    )
    lines = _lines(row, cells, narrowing, today, problems)
    for sentence in problems:
        reading.blame(row.first, sentence + _if_merged(sentence, above))
    if not problems:
        reading.add(lines)
    return {**above, **{field: cell for field, cell in cells.items() if cell}}


def _cell(text: str) -> str:
    return text.translate(_INVISIBLE).strip()


def _if_merged(sentence: str, above: Mapping[str, str]) -> str:
    """Cells that were merged in a spreadsheet arrive empty but for the first: that is said, and not filled in."""
    lacking = next((field for field in ("source", "destination") if sentence == f"There is no {field}."), "")
    if not above.get(lacking):
        return ""
    return f" If its cell is merged with the one above it, write {short(above[lacking])} here too."


def _is_enabled(cells: Mapping[str, str], problems: list[str]) -> bool:
    if "disabled" in cells and cells["disabled"].lower() in _TRUE:
        return False
    word = cells.get("enabled", "").lower()
    if word and word not in _TRUE | _FALSE:
        problems.append(f"{short(word)} does not say whether the line is switched on.")
    return word not in _FALSE


def _lines(
    row: Row, cells: Mapping[str, str], narrowing: tuple[str, ...], today: date | None, problems: list[str]
) -> list[Line]:
    """Every problem of a row is reported, not only its first."""
    sources = attempt(partial(read_ends, cells.get("source", ""), "source"), NO_ENDS, problems)
    destinations = attempt(partial(read_ends, cells.get("destination", ""), "destination"), NO_ENDS, problems)
    services = attempt(partial(read_both, cells.get("protocol", ""), cells.get("ports", "")), NO_SERVICES, problems)
    until = attempt(partial(read_day, cells.get("until", ""), today), None, problems)
    action = attempt(partial(_action, cells.get("action", "")), Action.ALLOW, problems)
    direction = attempt(partial(_direction, cells.get("direction", "")), Direction.BOTH, problems)
    hits = attempt(partial(_hits, cells.get("hits", "")), None, problems)
    if len(sources) * len(destinations) * len(services) > MAX_PER_RULE:
        problems.append(f"This is more than {MAX_PER_RULE} lines at once: write it apart.")
        return []
    reason = cells.get("reason", "")[:LONGEST_TEXT]
    text = row.text[:LONGEST_TEXT]
    return [
        Line(row.first, text, source, destination, proto, ports, direction, action, reason, until, hits, narrowing)
        for source, destination, (proto, ports) in product(sources, destinations, services)
    ]


def _action(text: str) -> Action:
    word = text.lower()
    if word in _ALLOWING or not word:
        return Action.ALLOW
    if word in _DENYING:
        return Action.DENY
    raise Bad(f"{short(text)} says neither allow nor deny.")


def _direction(text: str) -> Direction:
    if text.lower() not in DIRECTION_CELLS:
        raise Bad(f"{short(text)} is no direction such as in or out.")
    return DIRECTION_CELLS[text.lower()]


def _hits(text: str) -> int | None:
    digits = re.sub(r"[ ,.'_]", "", text)
    if not digits or digits == "-":
        return None
    if not re.fullmatch(r"[0-9]{1,18}", digits):
        raise Bad(f"{short(text)} is no count of packets.")
    return int(digits)
