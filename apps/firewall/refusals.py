"""What this app refuses, by name. The message is the sentence the asker reads."""

from __future__ import annotations

from apps.audit.errors import InvalidInput, NotAllowed, NotFound, Refusal


class UnknownFirewallRequest(NotFound):
    code = "unknown_firewall_request"
    default_message = "There is no such firewall request, or you may not see it."


class UnknownLine(NotFound):
    code = "unknown_line"
    default_message = "This firewall request has no such line."


class BadFirewallRequest(InvalidInput):
    code = "bad_firewall_request"
    default_message = "Something of the request is missing."


class NotYourFirewallRequest(NotAllowed):
    code = "not_your_firewall_request"
    default_message = "Only whoever wrote a firewall request changes its lines."


class LineClosed(Refusal):
    """The line is asked for, open already, or its request is withdrawn."""

    code = "line_closed"
    default_message = "This line is settled; it does not change any more."


class UnknownChoice(InvalidInput):
    code = "unknown_choice"
    default_message = "That is not one of the choices any more. Look again."


class LinesNotReady(Refusal):
    """``fields`` says of each line what it lacks. Nothing was sent."""

    code = "lines_not_ready"
    status = 422
    default_message = "Some lines cannot be sent yet; nothing was sent."


class ZoneForbids(Refusal):
    """``extra`` names the cells. Nothing was sent."""

    code = "zone_forbids"
    status = 422


class BadZone(InvalidInput):
    code = "bad_zone"
    default_message = "The zone cannot be like this."


class UnknownZone(NotFound):
    code = "unknown_zone"
    default_message = "There is no such zone."


class NotYoursToZone(NotAllowed):
    code = "not_yours_to_zone"
    default_message = "Zones are set by security and administrators."


class NotYoursToDecommission(NotAllowed):
    code = "not_yours_to_decommission"
    default_message = "A service is given up by people of its team, security and administrators."


class NotYoursToEndAll(NotAllowed):
    code = "not_yours_to_end_all"
    default_message = "Somebody else, of security or an administrator, decides whether a service goes."


class DecommissionMoved(Refusal):
    code = "decommission_moved"
    default_message = "What names the service is no longer what was shown. Look again and propose that."


class NoDecommission(NotFound):
    code = "no_decommission"
    default_message = "Nobody proposed to give this service up."


class AlreadyDecommissioned(Refusal):
    code = "already_decommissioned"
    default_message = "This service is retired already."
