from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0003_traffic_rules")]

    operations = [
        migrations.AddField("approvalrule", "version", models.PositiveIntegerField(default=1)),
        migrations.AddField("guardrail", "version", models.PositiveIntegerField(default=1)),
    ]
