from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('identity', '0011_outside_parties'),
    ]

    operations = [
        migrations.AddField(
            model_name='trustedissuer',
            name='jwks',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AlterField(
            model_name='trustedissuer',
            name='jwks_uri',
            field=models.CharField(blank=True, default='', max_length=400),
        ),
        migrations.AlterField(
            model_name='trustedissuer',
            name='kind',
            field=models.CharField(choices=[('aws', 'AWS account'), ('eks', 'Kubernetes cluster (EKS or another)'), ('github', 'GitHub Actions'), ('gitlab', 'GitLab CI'), ('other', 'Another issuer')], max_length=6),
        ),
    ]
