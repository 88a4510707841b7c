from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]

    operations = [
        migrations.AddField("approvalrule", "version", models.PositiveIntegerField(default=1)),
        migrations.AddField("guardrail", "version", models.PositiveIntegerField(default=1)),
    ]
