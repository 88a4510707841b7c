"""What a pasted text said besides its lines."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("firewall", "0002_rule_bases")]

    operations = [
        migrations.AddField(model_name="firewallrequest", name="aside", field=models.JSONField(default=list)),
    ]
