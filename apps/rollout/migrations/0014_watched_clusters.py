from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rollout', '0013_removed_targets'),
    ]

    operations = [
        migrations.AddField(
            model_name='target',
            name='listed_at',
            field=models.DateTimeField(null=True, verbose_name='when all of it was last read back'),
        ),
        migrations.AddField(
            model_name='target',
            name='watched_at',
            field=models.DateTimeField(null=True, verbose_name='when a process last said that it hears of every change'),
        ),
    ]
