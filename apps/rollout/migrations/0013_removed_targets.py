from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rollout', '0012_pulled_clusters'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='target',
            name='rollout_target_delivery_known',
        ),
        migrations.AlterField(
            model_name='target',
            name='delivery',
            field=models.CharField(choices=[('direct', 'The console calls the vendor'), ('exported', 'A team applies the export; the console calls nobody'), ('pulled', 'An agent inside fetches it; the console calls nobody'), ('removed', "Nobody: it was taken out of the vendor's account")], default='direct', max_length=8),
        ),
        migrations.AddConstraint(
            model_name='target',
            constraint=models.CheckConstraint(condition=models.Q(('delivery__in', ['direct', 'exported', 'pulled', 'removed'])), name='rollout_target_delivery_known'),
        ),
    ]
