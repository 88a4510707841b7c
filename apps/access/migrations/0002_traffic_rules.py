from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]

    operations = [
        migrations.AddField(model_name="accessrequest", name="treatment", field=models.JSONField(null=True)),
        migrations.AddField(model_name="grant", name="treatment", field=models.JSONField(null=True)),
    ]
