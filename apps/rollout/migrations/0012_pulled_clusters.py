import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rollout', '0011_clusters_in_the_mesh'),
    ]

    operations = [
        migrations.CreateModel(
            name='Sight',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(default=0)),
                ('held', models.PositiveIntegerField(default=0)),
                ('differs', models.JSONField(default=list)),
                ('seen_at', models.DateTimeField(null=True)),
                ('asked_at', models.DateTimeField(null=True)),
                ('target', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='sight', to='rollout.target')),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='probe',
            name='rollout_probe_one_open_each',
        ),
        migrations.AddField(
            model_name='node',
            name='account',
            field=models.CharField(blank=True, default='', max_length=255),
        ),
        migrations.AddField(
            model_name='node',
            name='issuer',
            field=models.CharField(blank=True, default='', max_length=40),
        ),
        migrations.AddField(
            model_name='node',
            name='trouble',
            field=models.CharField(blank=True, default='', max_length=60),
        ),
        migrations.AddField(
            model_name='probe',
            name='stranger',
            field=models.CharField(blank=True, default='', max_length=300),
        ),
        migrations.AddConstraint(
            model_name='node',
            constraint=models.UniqueConstraint(condition=models.Q(('account', ''), _negated=True), fields=('issuer', 'account'), name='rollout_node_account_once'),
        ),
        migrations.AddConstraint(
            model_name='probe',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ('waiting', 'ready', 'failing'))), fields=('grant_id', 'point', 'target', 'stranger'), name='rollout_probe_one_open_each'),
        ),
    ]
