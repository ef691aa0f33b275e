# SPDX-License-Identifier: Apache-2.0
"""Keep of each case, in one narrow row, what its list is narrowed and sorted by; keep such lists."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision = "0018"
down_revision = "0017"

WORDS_OF = r"""
CREATE FUNCTION words_of(said text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN array_to_tsvector(array_remove(
    regexp_split_to_array(lower(left(said, 500) COLLATE pg_c_utf8), '[\s^=,/_-]+'), ''))
"""
"""Not `to_tsvector`, whose parser takes a UID for a host. A word may have 2,046 bytes at most."""

CASES_NOW = """
CREATE VIEW cases_now AS
SELECT jobs.id AS job_id, jobs.tenant_id, jobs.created_at AS received_at, jobs.finished_at,
    jobs.state, jobs.priority, jobs.pipeline, jobs.network, studies.study_date, made.scanner,
    reports.verdict, reports.grade, reports.review, reports.lesion_share,
    words_of(concat_ws(' ',
        studies.study_uid, studies.accession_number, jobs.error_code, jobs.network)) AS words,
    words_of(concat_ws(' ',
        studies.attributes #>> '{00100010,Value,0,Alphabetic}',
        studies.attributes #>> '{00100010,Value,0,Ideographic}',
        studies.attributes #>> '{00100010,Value,0,Phonetic}',
        studies.patient_id)) AS patient_words
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
"""What `cases` holds, as it follows from the tables it is about. The tags are Manufacturer,
ManufacturerModelName, of the largest CT series, and PatientName in each of its three scripts."""

KEEP_CASE = """
CREATE FUNCTION keep_case(job uuid) RETURNS void LANGUAGE sql AS $$
    INSERT INTO cases SELECT * FROM cases_now WHERE job_id = job
    ON CONFLICT (job_id) DO UPDATE SET
        finished_at = EXCLUDED.finished_at, state = EXCLUDED.state, priority = EXCLUDED.priority,
        pipeline = EXCLUDED.pipeline, network = EXCLUDED.network,
        study_date = EXCLUDED.study_date, scanner = EXCLUDED.scanner,
        verdict = EXCLUDED.verdict, grade = EXCLUDED.grade, review = EXCLUDED.review,
        lesion_share = EXCLUDED.lesion_share,
        words = EXCLUDED.words, patient_words = EXCLUDED.patient_words
$$
"""

# Progress and leases are written every few seconds; only what is listed here keeps a case anew.
TRIGGERS = {
    "jobs": (
        "INSERT OR UPDATE OF state, priority, pipeline, network, error_code, finished_at",
        "PERFORM keep_case(NEW.id);",
    ),
    "reports": (
        "INSERT OR UPDATE OF verdict, grade, review, lesion_share",
        "PERFORM keep_case(NEW.job_id);",
    ),
    "studies": (
        "UPDATE OF study_uid, study_date, patient_id, accession_number, attributes",
        "PERFORM keep_case(jobs.id) FROM jobs WHERE jobs.study_id = NEW.id;",
    ),
}


def upgrade() -> None:
    op.execute(WORDS_OF)
    op.execute(CASES_NOW)
    _create_table()
    # Of what was restored a moment ago the planner knows nothing, and would read series by series.
    op.execute("ANALYZE jobs, studies, series, reports")
    op.execute("INSERT INTO cases SELECT * FROM cases_now")
    # After the rows: an index is built faster than it grows.
    _create_indexes()
    op.execute(KEEP_CASE)
    for table, (when, then) in TRIGGERS.items():
        op.execute(
            f"CREATE FUNCTION keep_case_of_{table}() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN {then} RETURN NULL; END $$"
        )
        op.execute(
            f"CREATE TRIGGER keep_case AFTER {when} ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION keep_case_of_{table}()"
        )
    _create_saved_filters()


def _create_table() -> None:
    op.create_table(
        "cases",
        # In the order of the view.
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.String(length=16), nullable=False),
        sa.Column("pipeline", sa.String(), nullable=False),
        sa.Column("network", sa.String(), nullable=False),
        sa.Column("study_date", sa.Date(), nullable=True),
        sa.Column("scanner", sa.String(), nullable=True),
        sa.Column("verdict", sa.String(), nullable=True),
        sa.Column("grade", sa.String(), nullable=True),
        sa.Column("review", sa.Boolean(), nullable=True),
        sa.Column("lesion_share", sa.Float(), nullable=True),
        sa.Column("words", TSVECTOR(), nullable=False),
        sa.Column("patient_words", TSVECTOR(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="pk_cases"),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name="fk_cases_job_id_jobs", ondelete="CASCADE"
        ),
    )


def _create_indexes() -> None:
    op.create_index("ix_cases_received", "cases", ["received_at", "job_id"])
    op.create_index("ix_cases_tenant_received", "cases", ["tenant_id", "received_at", "job_id"])
    for name, value in {
        "finished": "coalesce(finished_at, '1970-01-01 00:00:00+00'::timestamptz)",
        "dated": "coalesce(study_date, '0001-01-01'::date)",
        "share": "coalesce(lesion_share, -1)",
    }.items():
        op.create_index(f"ix_cases_{name}", "cases", [sa.text(value), "job_id"])
    op.create_index("ix_cases_scanner", "cases", ["scanner", "tenant_id"])
    op.create_index("ix_cases_network", "cases", ["network", "tenant_id"])
    for name in ("words", "patient_words"):
        op.create_index(f"ix_cases_{name}", "cases", [name], postgresql_using="gin")
    # These go together: no case is Mild and CT-4, or has failed and a grade.
    op.execute("CREATE STATISTICS cases_together (mcv) ON state, verdict, grade, review FROM cases")
    op.create_index(
        "ix_batches_words", "batches", [sa.text("words_of(label)")], postgresql_using="gin"
    )


def _create_saved_filters() -> None:
    op.create_table(
        "saved_filters",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("query", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_saved_filters"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_saved_filters_user_id_users", ondelete="CASCADE"
        ),
    )
    op.create_index("uq_saved_filters_user_name", "saved_filters", ["user_id", "name"], unique=True)
