from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0002_outside_addresses")]

    operations = [
        migrations.AddField(model_name="accessrequest", name="treatment", field=models.JSONField(null=True)),
        migrations.AddField(model_name="grant", name="treatment", field=models.JSONField(null=True)),
    ]
