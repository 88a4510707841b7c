from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rollout', '0010_adopted_streams'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='probe',
            name='rollout_probe_one_open',
        ),
        migrations.RemoveConstraint(
            model_name='target',
            name='rollout_target_delivery_known',
        ),
        migrations.AddField(
            model_name='node',
            name='applies',
            field=models.BooleanField(db_default=True),
        ),
        migrations.AddField(
            model_name='revision',
            name='traps',
            field=models.JSONField(default=list),
        ),
        migrations.AlterField(
            model_name='target',
            name='delivery',
            field=models.CharField(choices=[('direct', 'The console calls the vendor'), ('exported', 'A team applies the export; the console calls nobody'), ('pulled', 'An agent inside fetches it; the console calls nobody')], default='direct', max_length=8),
        ),
        migrations.AddConstraint(
            model_name='probe',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ('waiting', 'ready', 'failing'))), fields=('grant_id', 'point', 'target'), name='rollout_probe_one_open_each'),
        ),
        migrations.AddConstraint(
            model_name='target',
            constraint=models.CheckConstraint(condition=models.Q(('delivery__in', ['direct', 'exported', 'pulled'])), name='rollout_target_delivery_known'),
        ),
    ]
