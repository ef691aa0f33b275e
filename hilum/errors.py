# SPDX-License-Identifier: Apache-2.0
"""Every error Hilum raises on purpose, in three families that tell the queue what to do.

HilumError
├── InputError                 the request or the study is at fault: record it, never retry
│   ├── UploadError            the bytes that were sent
│   │   ├── EmptyUpload, NotZip, BrokenZip, EncryptedZip, NestedZip, ZipBomb, UnsafePath
│   │   ├── UploadTooLarge, TooManyFiles, IncompleteUpload, ChecksumMismatch
│   │   ├── NoDicom, NoCtSeries, MixedStudies
│   │   └── NotDeidentifiable, BurnedInText
│   ├── SeriesError            a series that cannot be one grid of voxels
│   │   ├── SingleSlice, MixedOrientations, MixedSizes, MissingSlices, DuplicatePositions
│   │   ├── MissingRescale, MissingSpacing, MissingPosition, NotAxial
│   │   └── UnreadablePixels, UnsupportedTransferSyntax
│   ├── RequestError           what was asked for
│   │   ├── InvalidRequest, UnknownPipeline, UnknownNetwork, NetworkExists, UnsafeCallback
│   │   ├── UnknownJob, UnknownStudy, UnknownReport, UnknownSlice, ReportNotReady
│   │   ├── UnknownObject, UnreadableObject, UnknownDestination, UnknownBatch, FilesGone
│   │   ├── UnknownWebhook, UnknownDelivery, UnknownUser, UnknownWorker, UnknownPurge
│   │   ├── UnknownTenant, UnknownKey
│   │   ├── WebhookDisabled
│   │   ├── NotCancellable, NotRetriable, NotPrioritisable, BatchClosed, IdempotencyConflict
│   │   ├── UnknownUpload, UploadLocked, OffsetMismatch, UploadFailed, TooManyUploads
│   │   └── WrongTusVersion
│   └── AccessError            who asked
│       ├── MissingKey, WrongKey, SignInNeeded, WrongPassword, WrongInvitation
│       └── NotPermitted, ForeignForm
├── TransientError             the world is at fault: try again later
│   ├── StorageFull, StorageUnavailable, QueueUnavailable, QueueStalled, DatabaseUnavailable
│   ├── ServerUnreachable, NetworkAbsent, GpuMemory, Undelivered
│   ├── QueueOverloaded, TooManyStreams
│   └── QuotaExceeded          what the hospital may have
│       └── TooManyJobs, TooManyBytes, TooManyRequests
└── ConfigurationError         we are at fault: the process refuses to start
    └── MissingSetting, BrokenWeights, PendingMigrations, UnusableStorage

`code` is stable and meant for programs; the message is one sentence for people and carries UIDs
and job ids only, never a name, a date of birth or a pixel.
"""

from typing import ClassVar


class HilumError(Exception):
    """Something Hilum can name."""

    code: ClassVar[str] = "error"

    def __init__(self, *args: object, wait_s: int | None = None) -> None:
        super().__init__(*args)
        self.wait_s = wait_s
        """Seconds until the same request may succeed, where that is known of this very one."""

    @property
    def message(self) -> str:
        """The sentence for people."""
        return str(self.args[0]) if self.args else self.title

    @property
    def title(self) -> str:
        """The same for every error of this class: its first docstring line."""
        return (type(self).__doc__ or type(self).__name__).splitlines()[0]


class InputError(HilumError):
    """The request or the study is at fault."""

    code = "input_error"


class TransientError(HilumError):
    """The world is at fault; the same request may succeed later."""

    code = "transient_error"


class ConfigurationError(HilumError):
    """This installation is at fault."""

    code = "configuration_error"


# ── InputError: the bytes that were sent ──────────────────────────────────────────────────────


class UploadError(InputError):
    """The upload cannot be taken."""

    code = "upload_error"


class EmptyUpload(UploadError):
    """The upload holds no bytes."""

    code = "empty_upload"


class NotZip(UploadError):
    """The upload is not a zip archive."""

    code = "not_a_zip"


class BrokenZip(UploadError):
    """The zip archive is damaged."""

    code = "broken_zip"


class EncryptedZip(UploadError):
    """The zip archive is encrypted."""

    code = "encrypted_zip"


class NestedZip(UploadError):
    """The zip archive holds another archive."""

    code = "nested_zip"


class ZipBomb(UploadError):
    """The zip archive unpacks to more than its limits allow."""

    code = "zip_bomb"


class UnsafePath(UploadError):
    """A file name in the upload leads outside its folder."""

    code = "unsafe_path"


class UploadTooLarge(UploadError):
    """The upload is larger than this installation takes."""

    code = "upload_too_large"


class TooManyFiles(UploadError):
    """The upload holds more files than this installation takes."""

    code = "too_many_files"


class IncompleteUpload(UploadError):
    """The upload did not arrive as it was sent."""

    code = "incomplete_upload"


class ChecksumMismatch(UploadError):
    """The bytes of a chunk are not those of its checksum."""

    code = "checksum_mismatch"


class NoDicom(UploadError):
    """The upload holds no DICOM instance."""

    code = "no_dicom"


class NoCtSeries(UploadError):
    """The study holds no CT series that this pipeline reads."""

    code = "no_ct_series"


class MixedStudies(UploadError):
    """The upload holds instances of more than one study."""

    code = "mixed_studies"


class NotDeidentifiable(UploadError):
    """The confidentiality profile does not reach all that the object holds."""

    code = "not_deidentifiable"


class BurnedInText(UploadError):
    """The pixels of the object may show who the patient is."""

    code = "burned_in_text"


# ── InputError: a series that cannot be one grid of voxels ────────────────────────────────────


class SeriesError(InputError):
    """The series cannot become one regular grid of voxels."""

    code = "series_error"


class SingleSlice(SeriesError):
    """The series has too few slices to measure a volume."""

    code = "single_slice"


class MixedOrientations(SeriesError):
    """The slices of the series face different directions."""

    code = "mixed_orientations"


class MixedSizes(SeriesError):
    """The slices of the series differ in rows, columns or pixel spacing."""

    code = "mixed_sizes"


class MissingSlices(SeriesError):
    """Slices are missing between the first and the last."""

    code = "missing_slices"


class DuplicatePositions(SeriesError):
    """Different slices claim the same position."""

    code = "duplicate_positions"


class MissingRescale(SeriesError):
    """A slice lacks the rescale that turns stored values into Hounsfield units."""

    code = "missing_rescale"


class MissingSpacing(SeriesError):
    """A slice lacks a usable pixel spacing."""

    code = "missing_spacing"


class MissingPosition(SeriesError):
    """A slice lacks its position or orientation in the patient."""

    code = "missing_position"


class NotAxial(SeriesError):
    """The series is not axial."""

    code = "not_axial"


class UnreadablePixels(SeriesError):
    """The pixel data of an instance cannot be decoded."""

    code = "unreadable_pixels"


class UnsupportedTransferSyntax(SeriesError):
    """No decoder is installed for the transfer syntax of an instance."""

    code = "unsupported_transfer_syntax"


# ── InputError: what was asked for ────────────────────────────────────────────────────────────


class RequestError(InputError):
    """The request cannot be served as asked."""

    code = "request_error"


class InvalidRequest(RequestError):
    """A field of the request is missing or malformed."""

    code = "invalid_request"


class UnknownPipeline(RequestError):
    """No pipeline has this name."""

    code = "unknown_pipeline"


class UnknownNetwork(RequestError):
    """No network has this name."""

    code = "unknown_network"


class NetworkExists(RequestError):
    """The name and version of the network are taken."""

    code = "network_exists"


class UnsafeCallback(RequestError):
    """The address of a callback or webhook must not be called from here."""

    code = "unsafe_callback"


class UnknownJob(RequestError):
    """No job of this tenant has this id."""

    code = "unknown_job"


class UnknownStudy(RequestError):
    """No study of this tenant has this id."""

    code = "unknown_study"


class UnknownReport(RequestError):
    """No report of this tenant belongs to this job."""

    code = "unknown_report"


class UnknownSlice(RequestError):
    """The series has no slice of this number."""

    code = "unknown_slice"


class FilesGone(RequestError):
    """Files of the study or of the job are no longer stored."""

    code = "files_gone"


class UnknownObject(RequestError):
    """The study has no such series, instance, frame or value."""

    code = "unknown_object"


class UnknownTenant(RequestError):
    """There is no such hospital, or it is not theirs who asks."""

    code = "unknown_tenant"


class UnknownKey(RequestError):
    """The hospital has no key with this id."""

    code = "unknown_key"


class UnknownDestination(RequestError):
    """The hospital has no destination of this name."""

    code = "unknown_destination"


class UnknownWebhook(RequestError):
    """The hospital has no webhook with this id."""

    code = "unknown_webhook"


class UnknownWorker(RequestError):
    """No worker of this name lives or was lost within a day."""

    code = "unknown_worker"


class UnknownDelivery(RequestError):
    """The webhook has no delivery with this id."""

    code = "unknown_delivery"


class WebhookDisabled(RequestError):
    """Nothing is sent to a webhook that is disabled."""

    code = "webhook_disabled"


class UnreadableObject(RequestError):
    """The stored object cannot be read as DICOM."""

    code = "unreadable_object"


class ReportNotReady(RequestError):
    """The job has no report yet."""

    code = "report_not_ready"


class NotCancellable(RequestError):
    """The job has already ended."""

    code = "not_cancellable"


class NotRetriable(RequestError):
    """The job has nothing to be tried again, or another one stands in for it."""

    code = "not_retriable"


class NotPrioritisable(RequestError):
    """The job no longer waits."""

    code = "not_prioritisable"


class UnknownBatch(RequestError):
    """No batch of this tenant has this id."""

    code = "unknown_batch"


class UnknownUser(RequestError):
    """Nobody has this name."""

    code = "unknown_user"


class UnknownPurge(RequestError):
    """Nothing was purged under this id."""

    code = "unknown_purge"


class BatchClosed(RequestError):
    """The batch takes no more studies."""

    code = "batch_closed"


class IdempotencyConflict(RequestError):
    """The idempotency key was used for another request."""

    code = "idempotency_conflict"


class UnknownUpload(RequestError):
    """No upload of this tenant has this id."""

    code = "unknown_upload"


class UploadLocked(RequestError):
    """Another request is writing to the upload."""

    code = "upload_locked"


class OffsetMismatch(RequestError):
    """The chunk does not begin where the upload stands."""

    code = "offset_mismatch"


class UploadFailed(RequestError):
    """The upload arrived whole, and its study could not be taken."""

    code = "upload_failed"


class TooManyUploads(RequestError):
    """This tenant has begun too many uploads and not ended them."""

    code = "too_many_uploads"


class WrongTusVersion(RequestError):
    """The client does not say that it speaks this version of tus."""

    code = "wrong_tus_version"


# ── InputError: who asked ─────────────────────────────────────────────────────────────────────


class AccessError(InputError):
    """The caller is not known."""

    code = "access_error"


class MissingKey(AccessError):
    """The request carries no API key."""

    code = "missing_key"


class WrongKey(AccessError):
    """The API key is not valid."""

    code = "wrong_key"


class SignInNeeded(AccessError):
    """Nobody is signed in."""

    code = "sign_in_needed"


class WrongPassword(AccessError):
    """Name and password do not belong together."""

    code = "wrong_password"


class WrongInvitation(AccessError):
    """The link is not valid any more."""

    code = "wrong_invitation"


class NotPermitted(AccessError):
    """The role does not allow it."""

    code = "not_permitted"


class ForeignForm(AccessError):
    """The form was not sent from a page of Hilum."""

    code = "foreign_form"


# ── TransientError ────────────────────────────────────────────────────────────────────────────


class StorageFull(TransientError):
    """The disk is nearly full."""

    code = "storage_full"


class StorageUnavailable(TransientError):
    """The store does not answer."""

    code = "storage_unavailable"


class QueueUnavailable(TransientError):
    """The message broker does not answer."""

    code = "queue_unavailable"


class QueueStalled(TransientError):
    """Jobs wait and nobody takes them."""

    code = "queue_stalled"


class DatabaseUnavailable(TransientError):
    """The database does not answer."""

    code = "database_unavailable"


class ServerUnreachable(TransientError):
    """The Hilum server does not answer."""

    code = "server_unreachable"


class NetworkAbsent(TransientError):
    """The files of a network are out of reach."""

    code = "network_absent"


class GpuMemory(TransientError):
    """The memory of the GPU does not hold the network and one slice."""

    code = "gpu_memory"


class Undelivered(TransientError):
    """A destination did not take what was sent to it."""

    code = "undelivered"


class QueueOverloaded(TransientError):
    """Jobs have waited for too long to take more."""

    code = "queue_overloaded"


class QuotaExceeded(TransientError):
    """The hospital has as much as it may have."""

    code = "quota_exceeded"


class TooManyJobs(QuotaExceeded):
    """The hospital has as many jobs under way as it may have."""

    code = "too_many_jobs"


class TooManyBytes(QuotaExceeded):
    """The hospital has as many bytes stored as it may have."""

    code = "too_many_bytes"


class TooManyRequests(QuotaExceeded):
    """The hospital has asked as often in a minute as it may."""

    code = "too_many_requests"


class TooManyStreams(TransientError):
    """As many streams are open as this server serves at a time."""

    code = "too_many_streams"


# ── ConfigurationError ────────────────────────────────────────────────────────────────────────


class MissingSetting(ConfigurationError):
    """A required setting is missing or malformed."""

    code = "missing_setting"


class BrokenWeights(ConfigurationError):
    """A weights file is absent or does not match its recorded hash."""

    code = "broken_weights"


class PendingMigrations(ConfigurationError):
    """The database schema is older than this code."""

    code = "pending_migrations"


class UnusableStorage(ConfigurationError):
    """The store that the settings name cannot be used."""

    code = "unusable_storage"
