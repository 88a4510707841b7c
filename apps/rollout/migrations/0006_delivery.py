from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("rollout", "0005_address_lists")]

    operations = [
        migrations.AddField(
            model_name="target",
            name="delivery",
            field=models.CharField(
                choices=[
                    ("direct", "The console calls the vendor"),
                    ("exported", "A team applies the export; the console calls nobody"),
                ],
                default="direct",
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="target",
            constraint=models.CheckConstraint(
                condition=models.Q(("delivery__in", ["direct", "exported"])), name="rollout_target_delivery_known"
            ),
        ),
    ]
