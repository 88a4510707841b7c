from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.models import Q

CHOICES = [
    ("people", "It ends; what a running service calls by stays, and is asked about ever again"),
    ("end", "It ends"),
    ("ask", "It stays, and security is asked ever again"),
]


def as_nobody_chose(apps: Any, schema_editor: Any) -> None:
    """A schedule that nobody ever kept follows the new default; one that somebody chose stays as it is."""
    apps.get_model("access", "StandingPolicy").objects.filter(version=1, lapse="end").update(lapse="people")


class Migration(migrations.Migration):
    dependencies = [("access", "0005_upkeep")]

    operations = [
        migrations.AddField("standingreview", "reminded", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("standingreview", "asked_again", models.PositiveSmallIntegerField(default=0)),
        migrations.AddField("cleanup", "kept", models.JSONField(default=dict)),
        migrations.RemoveConstraint("standingpolicy", "access_standingpolicy_lapse_known"),
        migrations.AlterField(
            "standingpolicy", "lapse", models.CharField(choices=CHOICES, default="people", max_length=8)
        ),
        migrations.AddConstraint(
            "standingpolicy",
            models.CheckConstraint(
                condition=Q(lapse__in=["people", "end", "ask"]), name="access_standingpolicy_lapse_known"
            ),
        ),
        migrations.RunPython(as_nobody_chose, migrations.RunPython.noop),
    ]
