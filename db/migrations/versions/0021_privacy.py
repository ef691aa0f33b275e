# SPDX-License-Identifier: Apache-2.0
"""Find cases by accession number for who knows patients alone; keep what a purge needs to go on."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"

CASES_NOW = """
CREATE OR REPLACE VIEW cases_now AS
SELECT jobs.id AS job_id, jobs.tenant_id, jobs.created_at AS received_at, jobs.finished_at,
    jobs.state, jobs.priority, jobs.pipeline, jobs.network, studies.study_date, made.scanner,
    reports.verdict, reports.grade, reports.review, reports.lesion_share,
    words_of(concat_ws(' ', studies.study_uid, jobs.error_code, jobs.network)) AS words,
    words_of(concat_ws(' ',
        studies.attributes #>> '{00100010,Value,0,Alphabetic}',
        studies.attributes #>> '{00100010,Value,0,Ideographic}',
        studies.attributes #>> '{00100010,Value,0,Phonetic}',
        studies.patient_id, studies.accession_number)) AS patient_words
FROM jobs JOIN studies ON studies.id = jobs.study_id
LEFT JOIN reports ON reports.job_id = jobs.id
LEFT JOIN LATERAL (
    SELECT nullif(left(concat_ws(' ',
        nullif(trim(series.attributes #>> '{00080070,Value,0}'), ''),
        nullif(trim(series.attributes #>> '{00081090,Value,0}'), '')), 128), '') AS scanner
    FROM series WHERE series.study_id = studies.id AND series.job_id IS NULL
    ORDER BY series.modality <> 'CT', series.instance_count DESC, series.id LIMIT 1
) made ON true
"""
"""As revision 0018 has it, but for the accession number: it names a patient's order."""


def upgrade() -> None:
    op.execute(CASES_NOW)
    op.execute(
        "UPDATE cases SET words = cases_now.words, patient_words = cases_now.patient_words"
        " FROM cases_now JOIN jobs ON jobs.id = cases_now.job_id"
        " JOIN studies ON studies.id = jobs.study_id"
        " WHERE cases.job_id = cases_now.job_id AND studies.accession_number <> ''"
    )
    op.add_column("purges", sa.Column("wanted", sa.Integer(), nullable=True))
    op.add_column("purges", sa.Column("study_uid", sa.String(), nullable=True))
    op.add_column("purges", sa.Column("address", sa.String(), nullable=True))
    op.create_index(
        "ix_purges_going_on",
        "purges",
        ["at", "id"],
        postgresql_where=sa.text("wanted IS NOT NULL"),
    )
