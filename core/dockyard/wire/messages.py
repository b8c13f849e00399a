"""The tables of every message that BuildKit, its sessions and containerd's content API exchange.

One piece because it is one table. Fields are named as on the wire, and a type in capitals is
another table below. Enumerations are plain integers; the constants that our code needs are at the
end. Each table is parsed when it is first used (see :mod:`dockyard.wire.codec`).

Messages that are the same in several packages have one table: all of ``BytesMessage`` is
:data:`BYTES_MESSAGE`. ``SolveRequest``, ``SolveResponse``, ``CacheOptionsEntry`` and
``Descriptor`` exist in the control service and in the gateway; the gateway's are ``GATEWAY_...``.
"""

from __future__ import annotations

from dockyard.wire.codec import Message


def _message(name: str, fields: str = "") -> Message:
    return Message(name, globals(), fields)


# --- Common messages -----------------------------------------------------------------------

ANY = _message("google.protobuf.Any", "1 type_url string; 2 value bytes")
TIMESTAMP = _message("google.protobuf.Timestamp", "1 seconds int64; 2 nanos int32")
FIELD_MASK = _message("google.protobuf.FieldMask", "1 paths rep string")
RPC_STATUS = _message("google.rpc.Status", "1 code int32; 2 message string; 3 details rep ANY")

# --- Health of a session -------------------------------------------------------------------

HEALTH_CHECK_REQUEST = _message("grpc.health.v1.HealthCheckRequest", "1 service string")
HEALTH_CHECK_RESPONSE = _message("grpc.health.v1.HealthCheckResponse", "1 status enum")

# --- Control: builds, their progress, workers, records -------------------------------------

PRUNE_REQUEST = _message(
    "moby.buildkit.v1.PruneRequest",
    "1 filter rep string; 2 all bool; 3 keepDuration int64; 4 reservedSpace int64; "
    "5 maxUsedSpace int64; 6 minFreeSpace int64",
)
DISK_USAGE_REQUEST = _message(
    "moby.buildkit.v1.DiskUsageRequest", "1 filter rep string; 2 ageLimit int64"
)
DISK_USAGE_RESPONSE = _message("moby.buildkit.v1.DiskUsageResponse", "1 record rep USAGE_RECORD")
USAGE_RECORD = _message(
    "moby.buildkit.v1.UsageRecord",
    "1 ID string; 2 Mutable bool; 3 InUse bool; 4 Size int64; 5 Parent string; "
    "6 CreatedAt TIMESTAMP; 7 LastUsedAt TIMESTAMP; 8 UsageCount int64; 9 Description string; "
    "10 RecordType string; 11 Shared bool; 12 Parents rep string",
)
SOLVE_REQUEST = _message(
    "moby.buildkit.v1.SolveRequest",
    "1 Ref string; 2 Definition DEFINITION; 3 ExporterDeprecated string; "
    "4 ExporterAttrsDeprecated map<string,string>; 5 Session string; 6 Frontend string; "
    "7 FrontendAttrs map<string,string>; 8 Cache CACHE_OPTIONS; 9 Entitlements rep string; "
    "10 FrontendInputs map<string,DEFINITION>; 11 Internal bool; 12 SourcePolicy POLICY; "
    "13 Exporters rep EXPORTER; 14 EnableSessionExporter bool; 15 SourcePolicySession string; "
    "16 CompatibilityVersion int64; 17 ProxyNetwork bool",
)
CACHE_OPTIONS = _message(
    "moby.buildkit.v1.CacheOptions",
    "1 ExportRefDeprecated string; 2 ImportRefsDeprecated rep string; "
    "3 ExportAttrsDeprecated map<string,string>; 4 Exports rep CACHE_OPTIONS_ENTRY; "
    "5 Imports rep CACHE_OPTIONS_ENTRY",
)
CACHE_OPTIONS_ENTRY = _message(
    "moby.buildkit.v1.CacheOptionsEntry", "1 Type string; 2 Attrs map<string,string>"
)
SOLVE_RESPONSE = _message("moby.buildkit.v1.SolveResponse", "1 ExporterResponse map<string,string>")
STATUS_REQUEST = _message("moby.buildkit.v1.StatusRequest", "1 Ref string")
STATUS_RESPONSE = _message(
    "moby.buildkit.v1.StatusResponse",
    "1 vertexes rep VERTEX; 2 statuses rep VERTEX_STATUS; 3 logs rep VERTEX_LOG; "
    "4 warnings rep VERTEX_WARNING",
)
VERTEX = _message(
    "moby.buildkit.v1.Vertex",
    "1 digest string; 2 inputs rep string; 3 name string; 4 cached bool; 5 started TIMESTAMP; "
    "6 completed TIMESTAMP; 7 error string; 8 progressGroup PROGRESS_GROUP",
)
VERTEX_STATUS = _message(
    "moby.buildkit.v1.VertexStatus",
    "1 ID string; 2 vertex string; 3 name string; 4 current int64; 5 total int64; "
    "6 timestamp TIMESTAMP; 7 started TIMESTAMP; 8 completed TIMESTAMP",
)
VERTEX_LOG = _message(
    "moby.buildkit.v1.VertexLog",
    "1 vertex string; 2 timestamp TIMESTAMP; 3 stream int64; 4 msg bytes",
)
VERTEX_WARNING = _message(
    "moby.buildkit.v1.VertexWarning",
    "1 vertex string; 2 level int64; 3 short bytes; 4 detail rep bytes; 5 url string; "
    "6 info SOURCE_INFO; 7 ranges rep RANGE",
)
BYTES_MESSAGE = _message("moby.buildkit.v1.BytesMessage", "1 data bytes")
LIST_WORKERS_REQUEST = _message("moby.buildkit.v1.ListWorkersRequest", "1 filter rep string")
LIST_WORKERS_RESPONSE = _message(
    "moby.buildkit.v1.ListWorkersResponse", "1 record rep WORKER_RECORD"
)
INFO_REQUEST = _message("moby.buildkit.v1.InfoRequest")
INFO_RESPONSE = _message("moby.buildkit.v1.InfoResponse", "1 buildkitVersion BUILDKIT_VERSION")
BUILD_HISTORY_REQUEST = _message(
    "moby.buildkit.v1.BuildHistoryRequest",
    "1 ActiveOnly bool; 2 Ref string; 3 EarlyExit bool; 4 Filter rep string; 5 Limit int32",
)
BUILD_HISTORY_EVENT = _message(
    "moby.buildkit.v1.BuildHistoryEvent", "1 type enum; 2 record BUILD_HISTORY_RECORD"
)
BUILD_HISTORY_RECORD = _message(
    "moby.buildkit.v1.BuildHistoryRecord",
    "1 Ref string; 2 Frontend string; 3 FrontendAttrs map<string,string>; "
    "4 Exporters rep EXPORTER; 5 error RPC_STATUS; 6 CreatedAt TIMESTAMP; "
    "7 CompletedAt TIMESTAMP; 8 logs DESCRIPTOR; 9 ExporterResponse map<string,string>; "
    "10 Result BUILD_RESULT_INFO; 11 Results map<string,BUILD_RESULT_INFO>; 12 Generation int32; "
    "13 trace DESCRIPTOR; 14 pinned bool; 15 numCachedSteps int32; 16 numTotalSteps int32; "
    "17 numCompletedSteps int32; 18 externalError DESCRIPTOR; 19 numWarnings int32",
)
UPDATE_BUILD_HISTORY_REQUEST = _message(
    "moby.buildkit.v1.UpdateBuildHistoryRequest",
    "1 Ref string; 2 Pinned bool; 3 Delete bool; 4 Finalize bool",
)
UPDATE_BUILD_HISTORY_RESPONSE = _message("moby.buildkit.v1.UpdateBuildHistoryResponse")
DESCRIPTOR = _message(
    "moby.buildkit.v1.Descriptor",
    "1 media_type string; 2 digest string; 3 size int64; 5 annotations map<string,string>",
)
BUILD_RESULT_INFO = _message(
    "moby.buildkit.v1.BuildResultInfo",
    "1 ResultDeprecated DESCRIPTOR; 2 Attestations rep DESCRIPTOR; 3 Results map<int64,DESCRIPTOR>",
)
EXPORTER = _message("moby.buildkit.v1.Exporter", "1 Type string; 2 Attrs map<string,string>")

# --- Workers -------------------------------------------------------------------------------

WORKER_RECORD = _message(
    "moby.buildkit.v1.types.WorkerRecord",
    "1 ID string; 2 Labels map<string,string>; 3 platforms rep PLATFORM; "
    "4 GCPolicy rep GC_POLICY; 5 BuildkitVersion BUILDKIT_VERSION; "
    "6 CDIDevices rep WORKER_CDI_DEVICE",
)
GC_POLICY = _message(
    "moby.buildkit.v1.types.GCPolicy",
    "1 all bool; 2 keepDuration int64; 3 reservedSpace int64; 4 filters rep string; "
    "5 maxUsedSpace int64; 6 minFreeSpace int64",
)
BUILDKIT_VERSION = _message(
    "moby.buildkit.v1.types.BuildkitVersion",
    "1 package string; 2 version string; 3 revision string; 4 dockerfileVersion string",
)
WORKER_CDI_DEVICE = _message(
    "moby.buildkit.v1.types.CDIDevice",
    "1 Name string; 2 AutoAllow bool; 3 Annotations map<string,string>; 4 OnDemand bool",
)

# --- LLB, the graph that a daemon solves ---------------------------------------------------

OP = _message(
    "pb.Op",
    "1 inputs rep INPUT; 2 exec EXEC_OP oneof op; 3 source SOURCE_OP oneof op; "
    "4 file FILE_OP oneof op; 5 build BUILD_OP oneof op; 6 merge MERGE_OP oneof op; "
    "7 diff DIFF_OP oneof op; 8 passthrough PASSTHROUGH_OP oneof op; 10 platform PLATFORM; "
    "11 constraints WORKER_CONSTRAINTS",
)
PLATFORM = _message(
    "pb.Platform",
    "1 Architecture string; 2 OS string; 3 Variant string; 4 OSVersion string; "
    "5 OSFeatures rep string",
)
INPUT = _message("pb.Input", "1 digest string; 2 index int64")
EXEC_OP = _message(
    "pb.ExecOp",
    "1 meta META; 2 mounts rep MOUNT; 3 network enum; 4 security enum; "
    "5 secretenv rep SECRET_ENV; 6 cdiDevices rep CDI_DEVICE",
)
META = _message(
    "pb.Meta",
    "1 args rep string; 2 env rep string; 3 cwd string; 4 user string; 5 proxy_env PROXY_ENV; "
    "6 extraHosts rep HOST_IP; 7 hostname string; 9 ulimit rep ULIMIT; 10 cgroupParent string; "
    "11 removeMountStubsRecursive bool; 12 validExitCodes rep int32",
)
HOST_IP = _message("pb.HostIP", "1 Host string; 2 IP string")
ULIMIT = _message("pb.Ulimit", "1 Name string; 2 Soft int64; 3 Hard int64")
SECRET_ENV = _message("pb.SecretEnv", "1 ID string; 2 name string; 3 optional bool")
CDI_DEVICE = _message("pb.CDIDevice", "1 name string; 2 optional bool")
MOUNT = _message(
    "pb.Mount",
    "1 input int64; 2 selector string; 3 dest string; 4 output int64; 5 readonly bool; "
    "6 mountType enum; 19 TmpfsOpt TMPFS_OPT; 20 cacheOpt CACHE_OPT; 21 secretOpt SECRET_OPT; "
    "22 SSHOpt SSH_OPT; 23 resultID string; 24 contentCache enum",
)
TMPFS_OPT = _message("pb.TmpfsOpt", "1 size int64")
CACHE_OPT = _message("pb.CacheOpt", "1 ID string; 2 sharing enum")
SECRET_OPT = _message(
    "pb.SecretOpt", "1 ID string; 2 uid uint32; 3 gid uint32; 4 mode uint32; 5 optional bool"
)
SSH_OPT = _message(
    "pb.SSHOpt", "1 ID string; 2 uid uint32; 3 gid uint32; 4 mode uint32; 5 optional bool"
)
SOURCE_OP = _message("pb.SourceOp", "1 identifier string; 2 attrs map<string,string>")
BUILD_OP = _message(
    "pb.BuildOp",
    "1 builder int64; 2 inputs map<string,BUILD_INPUT>; 3 def DEFINITION; "
    "4 attrs map<string,string>",
)
BUILD_INPUT = _message("pb.BuildInput", "1 input int64")
OP_METADATA = _message(
    "pb.OpMetadata",
    "1 ignore_cache bool; 2 description map<string,string>; 4 export_cache EXPORT_CACHE; "
    "5 caps map<string,bool>; 6 progress_group PROGRESS_GROUP; 7 linux_resources LINUX_RESOURCES",
)
SOURCE = _message("pb.Source", "1 locations map<string,LOCATIONS>; 2 infos rep SOURCE_INFO")
LOCATIONS = _message("pb.Locations", "1 locations rep LOCATION")
SOURCE_INFO = _message(
    "pb.SourceInfo", "1 filename string; 2 data bytes; 3 definition DEFINITION; 4 language string"
)
LOCATION = _message("pb.Location", "1 sourceIndex int32; 2 ranges rep RANGE")
RANGE = _message("pb.Range", "1 start POSITION; 2 end POSITION")
POSITION = _message("pb.Position", "1 line int32; 2 character int32")
EXPORT_CACHE = _message("pb.ExportCache", "1 Value bool")
PROGRESS_GROUP = _message("pb.ProgressGroup", "1 id string; 2 name string; 3 weak bool")
LINUX_RESOURCES = _message(
    "pb.LinuxResources",
    "1 memory int64; 2 memorySwap int64; 3 cpuShares uint64; 4 cpuPeriod uint64; "
    "5 cpuQuota int64; 6 cpusetCpus string; 7 cpusetMems string",
)
PROXY_ENV = _message(
    "pb.ProxyEnv",
    "1 http_proxy string; 2 https_proxy string; 3 ftp_proxy string; 4 no_proxy string; "
    "5 all_proxy string",
)
WORKER_CONSTRAINTS = _message("pb.WorkerConstraints", "1 filter rep string")
DEFINITION = _message(
    "pb.Definition", "1 def rep bytes; 2 metadata map<string,OP_METADATA>; 3 Source SOURCE"
)
FILE_OP = _message("pb.FileOp", "2 actions rep FILE_ACTION")
FILE_ACTION = _message(
    "pb.FileAction",
    "1 input int64; 2 secondaryInput int64; 3 output int64; 4 copy FILE_ACTION_COPY oneof action; "
    "5 mkfile FILE_ACTION_MK_FILE oneof action; 6 mkdir FILE_ACTION_MK_DIR oneof action; "
    "7 rm FILE_ACTION_RM oneof action; 8 symlink FILE_ACTION_SYMLINK oneof action",
)
FILE_ACTION_COPY = _message(
    "pb.FileActionCopy",
    "1 src string; 2 dest string; 3 owner CHOWN_OPT; 4 mode int32; 5 followSymlink bool; "
    "6 dirCopyContents bool; 7 attemptUnpackDockerCompatibility bool; 8 createDestPath bool; "
    "9 allowWildcard bool; 10 allowEmptyWildcard bool; 11 timestamp int64; "
    "12 include_patterns rep string; 13 exclude_patterns rep string; "
    "14 alwaysReplaceExistingDestPaths bool; 15 modeStr string; 16 required_paths rep string",
)
FILE_ACTION_MK_FILE = _message(
    "pb.FileActionMkFile",
    "1 path string; 2 mode int32; 3 data bytes; 4 owner CHOWN_OPT; 5 timestamp int64",
)
FILE_ACTION_SYMLINK = _message(
    "pb.FileActionSymlink",
    "1 oldpath string; 2 newpath string; 3 owner CHOWN_OPT; 4 timestamp int64",
)
FILE_ACTION_MK_DIR = _message(
    "pb.FileActionMkDir",
    "1 path string; 2 mode int32; 3 makeParents bool; 4 owner CHOWN_OPT; 5 timestamp int64",
)
FILE_ACTION_RM = _message(
    "pb.FileActionRm", "1 path string; 2 allowNotFound bool; 3 allowWildcard bool"
)
CHOWN_OPT = _message("pb.ChownOpt", "1 user USER_OPT; 2 group USER_OPT")
USER_OPT = _message("pb.UserOpt", "1 byName NAMED_USER_OPT oneof user; 2 byID uint32 oneof user")
NAMED_USER_OPT = _message("pb.NamedUserOpt", "1 name string; 2 input int64")
MERGE_INPUT = _message("pb.MergeInput", "1 input int64")
MERGE_OP = _message("pb.MergeOp", "1 inputs rep MERGE_INPUT")
LOWER_DIFF_INPUT = _message("pb.LowerDiffInput", "1 input int64")
UPPER_DIFF_INPUT = _message("pb.UpperDiffInput", "1 input int64")
DIFF_OP = _message("pb.DiffOp", "1 lower LOWER_DIFF_INPUT; 2 upper UPPER_DIFF_INPUT")
PASSTHROUGH_OP = _message("pb.PassthroughOp", "1 id string; 2 outputs rep int64")

# --- Gateway: a frontend's view of a build -------------------------------------------------

RESULT = _message(
    "moby.buildkit.v1.frontend.Result",
    "1 refDeprecated string oneof result; 2 refsDeprecated REF_MAP_DEPRECATED oneof result; "
    "3 ref REF oneof result; 4 refs REF_MAP oneof result; 10 metadata map<string,bytes>; "
    "12 attestations map<string,ATTESTATIONS>",
)
REF_MAP_DEPRECATED = _message(
    "moby.buildkit.v1.frontend.RefMapDeprecated", "1 refs map<string,string>"
)
REF = _message("moby.buildkit.v1.frontend.Ref", "1 id string; 2 def DEFINITION")
REF_MAP = _message("moby.buildkit.v1.frontend.RefMap", "1 refs map<string,REF>")
ATTESTATIONS = _message("moby.buildkit.v1.frontend.Attestations", "1 attestation rep ATTESTATION")
ATTESTATION = _message(
    "moby.buildkit.v1.frontend.Attestation",
    "1 kind enum; 2 metadata map<string,bytes>; 3 ref REF; 4 path string; "
    "5 inTotoPredicateType string; 6 inTotoSubjects rep IN_TOTO_SUBJECT",
)
IN_TOTO_SUBJECT = _message(
    "moby.buildkit.v1.frontend.InTotoSubject", "1 kind enum; 2 digest rep string; 3 name string"
)
RETURN_REQUEST = _message(
    "moby.buildkit.v1.frontend.ReturnRequest", "1 result RESULT; 2 error RPC_STATUS"
)
RETURN_RESPONSE = _message("moby.buildkit.v1.frontend.ReturnResponse")
INPUTS_REQUEST = _message("moby.buildkit.v1.frontend.InputsRequest")
INPUTS_RESPONSE = _message(
    "moby.buildkit.v1.frontend.InputsResponse", "1 Definitions map<string,DEFINITION>"
)
RESOLVE_IMAGE_CONFIG_REQUEST = _message(
    "moby.buildkit.v1.frontend.ResolveImageConfigRequest",
    "1 Ref string; 2 Platform PLATFORM; 3 ResolveMode string; 4 LogName string; "
    "5 ResolverType int32; 6 SessionID string; 7 StoreID string; 8 SourcePolicies rep POLICY",
)
RESOLVE_IMAGE_CONFIG_RESPONSE = _message(
    "moby.buildkit.v1.frontend.ResolveImageConfigResponse",
    "1 Digest string; 2 Config bytes; 3 Ref string",
)
RESOLVE_SOURCE_META_REQUEST = _message(
    "moby.buildkit.v1.frontend.ResolveSourceMetaRequest",
    "1 Source SOURCE_OP; 2 Platform PLATFORM; 3 LogName string; 4 ResolveMode string; "
    "5 Git RESOLVE_SOURCE_GIT_REQUEST; 6 Image RESOLVE_SOURCE_IMAGE_REQUEST; "
    "7 HTTP RESOLVE_SOURCE_HTTP_REQUEST; 8 SourcePolicies rep POLICY",
)
RESOLVE_SOURCE_META_RESPONSE = _message(
    "moby.buildkit.v1.frontend.ResolveSourceMetaResponse",
    "1 Source SOURCE_OP; 2 Image RESOLVE_SOURCE_IMAGE_RESPONSE; "
    "3 Git RESOLVE_SOURCE_GIT_RESPONSE; 4 HTTP RESOLVE_SOURCE_HTTP_RESPONSE",
)
RESOLVE_SOURCE_IMAGE_REQUEST = _message(
    "moby.buildkit.v1.frontend.ResolveSourceImageRequest",
    "1 NoConfig bool; 2 AttestationChain bool; 3 ResolveAttestations rep string",
)
ATTESTATION_CHAIN = _message(
    "moby.buildkit.v1.frontend.AttestationChain",
    "1 Root string; 2 ImageManifest string; 3 AttestationManifest string; "
    "4 SignatureManifests rep string; 5 Blobs map<string,BLOB>",
)
RESOLVE_SOURCE_IMAGE_RESPONSE = _message(
    "moby.buildkit.v1.frontend.ResolveSourceImageResponse",
    "1 Digest string; 2 Config bytes; 3 AttestationChain ATTESTATION_CHAIN",
)
RESOLVE_SOURCE_GIT_REQUEST = _message(
    "moby.buildkit.v1.frontend.ResolveSourceGitRequest", "1 ReturnObject bool"
)
RESOLVE_SOURCE_GIT_RESPONSE = _message(
    "moby.buildkit.v1.frontend.ResolveSourceGitResponse",
    "1 Checksum string; 2 Ref string; 3 CommitChecksum string; 4 CommitObject bytes; "
    "5 TagObject bytes",
)
RESOLVE_SOURCE_HTTP_RESPONSE = _message(
    "moby.buildkit.v1.frontend.ResolveSourceHTTPResponse",
    "1 Checksum string; 2 Filename string; 3 LastModified TIMESTAMP; "
    "4 ChecksumResponse CHECKSUM_RESPONSE",
)
RESOLVE_SOURCE_HTTP_REQUEST = _message(
    "moby.buildkit.v1.frontend.ResolveSourceHTTPRequest", "1 ChecksumRequest CHECKSUM_REQUEST"
)
CHECKSUM_REQUEST = _message(
    "moby.buildkit.v1.frontend.ChecksumRequest", "1 Algo enum; 2 Suffix bytes"
)
CHECKSUM_RESPONSE = _message(
    "moby.buildkit.v1.frontend.ChecksumResponse", "1 Digest string; 2 Suffix bytes"
)
GATEWAY_SOLVE_REQUEST = _message(
    "moby.buildkit.v1.frontend.SolveRequest",
    "1 Definition DEFINITION; 2 Frontend string; 3 FrontendOpt map<string,string>; "
    "5 allowResultReturn bool; 6 allowResultArrayRef bool; 10 Final bool; 11 ExporterAttr bytes; "
    "12 CacheImports rep GATEWAY_CACHE_OPTIONS_ENTRY; 13 FrontendInputs map<string,DEFINITION>; "
    "14 Evaluate bool; 15 SourcePolicies rep POLICY",
)
GATEWAY_CACHE_OPTIONS_ENTRY = _message(
    "moby.buildkit.v1.frontend.CacheOptionsEntry", "1 Type string; 2 Attrs map<string,string>"
)
GATEWAY_SOLVE_RESPONSE = _message(
    "moby.buildkit.v1.frontend.SolveResponse", "1 ref string; 3 result RESULT"
)
READ_FILE_REQUEST = _message(
    "moby.buildkit.v1.frontend.ReadFileRequest",
    "1 Ref string; 2 FilePath string; 3 Range FILE_RANGE; 4 MountIndex int32",
)
FILE_RANGE = _message("moby.buildkit.v1.frontend.FileRange", "1 Offset int64; 2 Length int64")
READ_FILE_RESPONSE = _message("moby.buildkit.v1.frontend.ReadFileResponse", "1 Data bytes")
READ_DIR_REQUEST = _message(
    "moby.buildkit.v1.frontend.ReadDirRequest",
    "1 Ref string; 2 DirPath string; 3 IncludePattern string; 4 MountIndex int32",
)
READ_DIR_RESPONSE = _message("moby.buildkit.v1.frontend.ReadDirResponse", "1 entries rep STAT")
STAT_FILE_REQUEST = _message(
    "moby.buildkit.v1.frontend.StatFileRequest", "1 Ref string; 2 Path string; 3 MountIndex int32"
)
STAT_FILE_RESPONSE = _message("moby.buildkit.v1.frontend.StatFileResponse", "1 stat STAT")
EVALUATE_REQUEST = _message("moby.buildkit.v1.frontend.EvaluateRequest", "1 Ref string")
EVALUATE_RESPONSE = _message("moby.buildkit.v1.frontend.EvaluateResponse")
PING_REQUEST = _message("moby.buildkit.v1.frontend.PingRequest")
PONG_RESPONSE = _message(
    "moby.buildkit.v1.frontend.PongResponse",
    "1 FrontendAPICaps rep API_CAP; 2 LLBCaps rep API_CAP; 3 Workers rep WORKER_RECORD",
)
WARN_REQUEST = _message(
    "moby.buildkit.v1.frontend.WarnRequest",
    "1 digest string; 2 level int64; 3 short bytes; 4 detail rep bytes; 5 url string; "
    "6 info SOURCE_INFO; 7 ranges rep RANGE",
)
WARN_RESPONSE = _message("moby.buildkit.v1.frontend.WarnResponse")
NEW_CONTAINER_REQUEST = _message(
    "moby.buildkit.v1.frontend.NewContainerRequest",
    "1 ContainerID string; 2 Mounts rep MOUNT; 3 Network enum; 4 platform PLATFORM; "
    "5 constraints WORKER_CONSTRAINTS; 6 extraHosts rep HOST_IP; 7 hostname string",
)
NEW_CONTAINER_RESPONSE = _message("moby.buildkit.v1.frontend.NewContainerResponse")
RELEASE_CONTAINER_REQUEST = _message(
    "moby.buildkit.v1.frontend.ReleaseContainerRequest", "1 ContainerID string"
)
RELEASE_CONTAINER_RESPONSE = _message("moby.buildkit.v1.frontend.ReleaseContainerResponse")
EXEC_MESSAGE = _message(
    "moby.buildkit.v1.frontend.ExecMessage",
    "1 ProcessID string; 2 Init INIT_MESSAGE oneof Input; 3 File FD_MESSAGE oneof Input; "
    "4 Resize RESIZE_MESSAGE oneof Input; 5 Started STARTED_MESSAGE oneof Input; "
    "6 Exit EXIT_MESSAGE oneof Input; 7 Done DONE_MESSAGE oneof Input; "
    "8 Signal SIGNAL_MESSAGE oneof Input",
)
INIT_MESSAGE = _message(
    "moby.buildkit.v1.frontend.InitMessage",
    "1 ContainerID string; 2 Meta META; 3 Fds rep uint32; 4 Tty bool; 5 Security enum; "
    "6 secretenv rep SECRET_ENV",
)
EXIT_MESSAGE = _message(
    "moby.buildkit.v1.frontend.ExitMessage", "1 Code uint32; 2 Error RPC_STATUS"
)
STARTED_MESSAGE = _message("moby.buildkit.v1.frontend.StartedMessage")
DONE_MESSAGE = _message("moby.buildkit.v1.frontend.DoneMessage")
FD_MESSAGE = _message(
    "moby.buildkit.v1.frontend.FdMessage", "1 Fd uint32; 2 EOF bool; 3 Data bytes"
)
RESIZE_MESSAGE = _message("moby.buildkit.v1.frontend.ResizeMessage", "1 Rows uint32; 2 Cols uint32")
SIGNAL_MESSAGE = _message("moby.buildkit.v1.frontend.SignalMessage", "1 Name string")
BLOB = _message("moby.buildkit.v1.frontend.Blob", "1 descriptor GATEWAY_DESCRIPTOR; 2 data bytes")
GATEWAY_DESCRIPTOR = _message(
    "moby.buildkit.v1.frontend.Descriptor",
    "1 media_type string; 2 digest string; 3 size int64; 5 annotations map<string,string>",
)

# --- Capabilities --------------------------------------------------------------------------

API_CAP = _message(
    "moby.buildkit.v1.apicaps.APICap",
    "1 ID string; 2 Enabled bool; 3 Deprecated bool; 4 DisabledReason string; "
    "5 DisabledReasonMsg string; 6 DisabledAlternative string",
)

# --- Source policies -----------------------------------------------------------------------

POLICY_RULE = _message(
    "moby.buildkit.v1.sourcepolicy.Rule",
    "1 action enum; 2 selector POLICY_SELECTOR; 3 updates POLICY_UPDATE",
)
POLICY_UPDATE = _message(
    "moby.buildkit.v1.sourcepolicy.Update", "1 identifier string; 2 attrs map<string,string>"
)
POLICY_SELECTOR = _message(
    "moby.buildkit.v1.sourcepolicy.Selector",
    "1 identifier string; 2 match_type enum; 3 constraints rep POLICY_ATTR_CONSTRAINT",
)
POLICY_ATTR_CONSTRAINT = _message(
    "moby.buildkit.v1.sourcepolicy.AttrConstraint", "1 key string; 2 value string; 3 condition enum"
)
POLICY = _message(
    "moby.buildkit.v1.sourcepolicy.Policy", "1 version int64; 2 rules rep POLICY_RULE"
)
CHECK_POLICY_REQUEST = _message(
    "moby.buildkit.v1.sourcepolicy.policysession.CheckPolicyRequest",
    "1 Platform PLATFORM; 2 Source RESOLVE_SOURCE_META_RESPONSE; 3 caps map<string,bool>",
)
CHECK_POLICY_RESPONSE = _message(
    "moby.buildkit.v1.sourcepolicy.policysession.CheckPolicyResponse",
    "1 decision DECISION_RESPONSE oneof result; 2 request RESOLVE_SOURCE_META_REQUEST oneof result",
)
DECISION_RESPONSE = _message(
    "moby.buildkit.v1.sourcepolicy.policysession.DecisionResponse",
    "1 action enum; 2 denyMessages rep DENY_MESSAGE; 3 update SOURCE_OP",
)
DENY_MESSAGE = _message(
    "moby.buildkit.v1.sourcepolicy.policysession.DenyMessage", "1 message string"
)

# --- Session: registry authentication ------------------------------------------------------

CREDENTIALS_REQUEST = _message("moby.filesync.v1.CredentialsRequest", "1 Host string")
CREDENTIALS_RESPONSE = _message(
    "moby.filesync.v1.CredentialsResponse", "1 Username string; 2 Secret string"
)
FETCH_TOKEN_REQUEST = _message(
    "moby.filesync.v1.FetchTokenRequest",
    "1 ClientID string; 2 Host string; 3 Realm string; 4 Service string; 5 Scopes rep string",
)
FETCH_TOKEN_RESPONSE = _message(
    "moby.filesync.v1.FetchTokenResponse", "1 Token string; 2 ExpiresIn int64; 3 IssuedAt int64"
)
GET_TOKEN_AUTHORITY_REQUEST = _message(
    "moby.filesync.v1.GetTokenAuthorityRequest", "1 Host string; 2 Salt bytes"
)
GET_TOKEN_AUTHORITY_RESPONSE = _message(
    "moby.filesync.v1.GetTokenAuthorityResponse", "1 PublicKey bytes"
)
VERIFY_TOKEN_AUTHORITY_REQUEST = _message(
    "moby.filesync.v1.VerifyTokenAuthorityRequest", "1 Host string; 2 Payload bytes; 3 Salt bytes"
)
VERIFY_TOKEN_AUTHORITY_RESPONSE = _message(
    "moby.filesync.v1.VerifyTokenAuthorityResponse", "1 Signed bytes"
)

# --- Session: secrets, ssh, extra exporters ------------------------------------------------

GET_SECRET_REQUEST = _message(
    "moby.buildkit.secrets.v1.GetSecretRequest", "1 ID string; 2 annotations map<string,string>"
)
GET_SECRET_RESPONSE = _message("moby.buildkit.secrets.v1.GetSecretResponse", "1 data bytes")
CHECK_AGENT_REQUEST = _message("moby.sshforward.v1.CheckAgentRequest", "1 ID string")
CHECK_AGENT_RESPONSE = _message("moby.sshforward.v1.CheckAgentResponse")
FIND_EXPORTERS_REQUEST = _message(
    "moby.exporter.v1.FindExportersRequest", "1 metadata map<string,bytes>; 2 refs rep string"
)
FIND_EXPORTERS_RESPONSE = _message(
    "moby.exporter.v1.FindExportersResponse", "1 exporters rep EXPORTER_REQUEST"
)
EXPORTER_REQUEST = _message(
    "moby.exporter.v1.ExporterRequest", "1 Type string; 2 Attrs map<string,string>"
)
FINALIZE_EXPORT_REQUEST = _message(
    "moby.exporter.v1.FinalizeExportRequest", "1 exporter_response map<string,string>"
)
FINALIZE_EXPORT_RESPONSE = _message("moby.exporter.v1.FinalizeExportResponse")

# --- File transfer -------------------------------------------------------------------------

STAT = _message(
    "fsutil.types.Stat",
    "1 path string; 2 mode uint32; 3 uid uint32; 4 gid uint32; 5 size int64; 6 modTime int64; "
    "7 linkname string; 8 devmajor int64; 9 devminor int64; 10 xattrs map<string,bytes>",
)
PACKET = _message("fsutil.types.Packet", "1 type enum; 2 stat STAT; 3 ID uint32; 4 data bytes")

# --- Content stores ------------------------------------------------------------------------

CONTENT_INFO = _message(
    "containerd.services.content.v1.Info",
    "1 digest string; 2 size int64; 3 created_at TIMESTAMP; 4 updated_at TIMESTAMP; "
    "5 labels map<string,string>",
)
CONTENT_INFO_REQUEST = _message("containerd.services.content.v1.InfoRequest", "1 digest string")
CONTENT_INFO_RESPONSE = _message(
    "containerd.services.content.v1.InfoResponse", "1 info CONTENT_INFO"
)
CONTENT_UPDATE_REQUEST = _message(
    "containerd.services.content.v1.UpdateRequest", "1 info CONTENT_INFO; 2 update_mask FIELD_MASK"
)
CONTENT_UPDATE_RESPONSE = _message(
    "containerd.services.content.v1.UpdateResponse", "1 info CONTENT_INFO"
)
LIST_CONTENT_REQUEST = _message(
    "containerd.services.content.v1.ListContentRequest", "1 filters rep string"
)
LIST_CONTENT_RESPONSE = _message(
    "containerd.services.content.v1.ListContentResponse", "1 info rep CONTENT_INFO"
)
DELETE_CONTENT_REQUEST = _message(
    "containerd.services.content.v1.DeleteContentRequest", "1 digest string"
)
READ_CONTENT_REQUEST = _message(
    "containerd.services.content.v1.ReadContentRequest",
    "1 digest string; 2 offset int64; 3 size int64",
)
READ_CONTENT_RESPONSE = _message(
    "containerd.services.content.v1.ReadContentResponse", "1 offset int64; 2 data bytes"
)
CONTENT_STATUS = _message(
    "containerd.services.content.v1.Status",
    "1 started_at TIMESTAMP; 2 updated_at TIMESTAMP; 3 ref string; 4 offset int64; 5 total int64; "
    "6 expected string",
)
CONTENT_STATUS_REQUEST = _message("containerd.services.content.v1.StatusRequest", "1 ref string")
CONTENT_STATUS_RESPONSE = _message(
    "containerd.services.content.v1.StatusResponse", "1 status CONTENT_STATUS"
)
CONTENT_LIST_STATUSES_REQUEST = _message(
    "containerd.services.content.v1.ListStatusesRequest", "1 filters rep string"
)
CONTENT_LIST_STATUSES_RESPONSE = _message(
    "containerd.services.content.v1.ListStatusesResponse", "1 statuses rep CONTENT_STATUS"
)
WRITE_CONTENT_REQUEST = _message(
    "containerd.services.content.v1.WriteContentRequest",
    "1 action enum; 2 ref string; 3 total int64; 4 expected string; 5 offset int64; 6 data bytes; "
    "7 labels map<string,string>",
)
WRITE_CONTENT_RESPONSE = _message(
    "containerd.services.content.v1.WriteContentResponse",
    "1 action enum; 2 started_at TIMESTAMP; 3 updated_at TIMESTAMP; 4 offset int64; "
    "5 total int64; 6 digest string",
)
CONTENT_ABORT_REQUEST = _message("containerd.services.content.v1.AbortRequest", "1 ref string")

# --- Values of enumerations ----------------------------------------------------------------

SERVING = 1
"""HealthCheckResponse.status."""
WRITE_ACTION_STAT, WRITE_ACTION_WRITE, WRITE_ACTION_COMMIT = 0, 1, 2
"""WriteContentRequest.action."""
