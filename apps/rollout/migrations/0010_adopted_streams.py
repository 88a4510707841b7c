from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rollout", "0009_kubernetes_targets")]

    operations = [
        migrations.AddField("edgestream", "adopting", models.PositiveBigIntegerField(null=True)),
        migrations.AddField("edgestream", "candidate", models.JSONField(default=dict)),
        migrations.AddField("edgestream", "agreed_version", models.PositiveIntegerField(null=True)),
    ]
