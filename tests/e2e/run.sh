#!/bin/sh
# From an installation to a pulled image, on a real cluster and a real AWS account; README.md beside this
# file says what it needs. It takes away what it made, however it ends.
set -eu

usage='usage: tests/e2e/run.sh [--dry-run]'
operator=ecr-secret-operator
deployment=deployment/ecr-secret-operator-controller-manager
account_of_pods=serviceaccount/ecr-secret-operator-controller-manager
crds='secrets.ecr.mobb.redhat.com argohelmreposecrets.ecr.mobb.redhat.com clustersecrets.ecr.mobb.redhat.com'
source=${E2E_SOURCE:-public.ecr.aws/docker/library/busybox:1.37}
copier=${E2E_COPIER:-quay.io/skopeo/stable:latest}
# The namespace of the test and the repository in ECR.
name=ecr-e2e-$(date -u +%Y%m%d-%H%M%S)-$$
dry_run='' installing='' namespace_made='' repository_made='' work=''

# What is said goes to this descriptor, so that a command's output can be taken meanwhile.
exec 3>&1

step() { printf '\n%s\n' "$*" >&3; }
say() { printf '  %s\n' "$*" >&3; }
fail() {
	printf '%s\n' "$*" >&2
	exit 1
}
refuse() {
	printf '%s\n' "$*" >&2
	exit 2
}

# tell COMMAND…: show it as it could be typed.
tell() {
	{
		printf '  $'
		for word; do
			case $word in
			'' | *[!A-Za-z0-9_./:=,@%+-]*) printf " '%s'" "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")" ;;
			*) printf ' %s' "$word" ;;
			esac
		done
		printf '\n'
	} >&3
}

# run COMMAND…: run it, or with --dry-run only show it.
run() {
	tell "$@"
	[ -n "$dry_run" ] || "$@" >&3
}

# ask PLACEHOLDER COMMAND…: print what it prints, or with --dry-run the placeholder.
ask() {
	placeholder=$1
	shift
	tell "$@"
	if [ -n "$dry_run" ]; then printf '%s\n' "$placeholder"; else "$@"; fi
}

# apply: apply the manifests on standard input in the test's namespace.
apply() {
	manifests=$(cat)
	tell kubectl -n "$name" apply -f -
	printf '%s\n' "$manifests" | sed 's/^/    /' >&3
	[ -n "$dry_run" ] || printf '%s\n' "$manifests" | kubectl -n "$name" apply -f - >&3
}

# within SECONDS WHAT COMMAND…: run a command every second until it succeeds.
within() {
	limit=$1 what=$2
	shift 2
	say "… until there is $what, at most $limit s"
	if [ -n "$dry_run" ]; then return; fi
	begun=$(date +%s)
	until "$@"; do
		[ $(($(date +%s) - begun)) -lt "$limit" ] || fail "Not within $limit s: $what."
		sleep 1
	done
	say "There is $what, after $(($(date +%s) - begun)) s."
}

field() { kubectl -n "$name" get "$1" --ignore-not-found -o "jsonpath={$2}"; }
is_gone() { [ -z "$(kubectl -n "$name" get "$1" --ignore-not-found -o name)" ]; }
# differs OBJECT FIELD OLD: it has the field, with another value.
differs() {
	now=$(field "$1" "$2")
	[ -n "$now" ] && [ "$now" != "$3" ]
}
# has_run POD: it has ended well; ends the test if it ended badly.
has_run() {
	phase=$(field "pod/$1" .status.phase)
	[ "$phase" != Failed ] || fail "Pod $1 failed: $(kubectl -n "$name" logs "$1" 2>&1 | tail -n 5)"
	[ "$phase" = Succeeded ]
}
# is_decided POD: its image was pulled, or could not be.
is_decided() {
	case $(field "pod/$1" '.status.phase}{.status.containerStatuses[0].state.waiting.reason') in
	Succeeded* | Running* | Failed* | *ErrImagePull | *ImagePullBackOff) ;;
	*) return 1 ;;
	esac
}

check_settings() {
	[ -f config/default/kustomization.yaml ] || refuse 'Run it in the root of the project.'
	case ${E2E_YES-}/${E2E_INSTALLED-} in
	/ | 1/ | /1 | 1/1) ;;
	*) refuse 'E2E_YES and E2E_INSTALLED are 1 or not set.' ;;
	esac
	[ -z "${E2E_CREDENTIALS-}" ] || [ -z "${E2E_ROLE_ARN-}" ] || refuse 'E2E_CREDENTIALS or E2E_ROLE_ARN, not both.'
	[ -z "${E2E_CREDENTIALS-}" ] || [ -r "$E2E_CREDENTIALS" ] || refuse "E2E_CREDENTIALS: no file $E2E_CREDENTIALS."
	if [ -n "${E2E_INSTALLED-}" ] && [ -n "${IMG-}${E2E_CREDENTIALS-}${E2E_ROLE_ARN-}" ]; then
		refuse 'E2E_INSTALLED=1 changes nothing of the installation: without IMG, E2E_CREDENTIALS and E2E_ROLE_ARN.'
	fi
	[ -n "${AWS_REGION-}" ] || refuse 'AWS_REGION is needed: the region of the repository.'
	export AWS_REGION AWS_DEFAULT_REGION="$AWS_REGION" AWS_PAGER=
	if [ -n "$dry_run" ]; then return; fi
	for command in kubectl aws; do
		command -v "$command" >/dev/null || refuse "$command is needed, and not on PATH."
	done
}

look_around() {
	step 'Where it goes'
	context=$(ask my-context kubectl config current-context)
	account=$(ask 123456789012 aws sts get-caller-identity --query Account --output text)
	present=
	for crd in $crds; do
		present=$present$(ask '' kubectl get crd "$crd" --ignore-not-found -o name)
	done
	present=$present$(ask '' kubectl get namespace "$operator" --ignore-not-found -o name)
	if [ -n "$present" ] && [ -z "${E2E_INSTALLED-}" ]; then
		refuse 'The operator or a part of it is in this cluster already. E2E_INSTALLED=1 tries that one, and leaves it.'
	fi
	if [ -z "$present$dry_run" ] && [ -n "${E2E_INSTALLED-}" ]; then
		refuse 'E2E_INSTALLED=1, but the operator is not in this cluster.'
	fi
}

# Throw-away clusters need no question, others E2E_YES=1 or the context's name.
confirm() {
	say "cluster: context $context; AWS: account $account, region $AWS_REGION"
	say "made, and taken away in the end: namespace, ClusterSecret and ECR repository $name"
	[ -n "${E2E_INSTALLED-}" ] || say "the same: namespace $operator, CRDs, roles, the operator"
	case "$dry_run${E2E_YES-}/$context" in
	/kind-* | /k3d-* | /minikube) return ;;
	/*) ;;
	*) return ;;
	esac
	[ -t 0 ] || refuse "Context $context does not look like a throw-away cluster. E2E_YES=1 says that it may be used."
	printf '  To go on, type the name of the context: ' >&3
	read -r answer
	[ "$answer" = "$context" ] || refuse 'Nothing was touched.'
}

install_operator() {
	step 'Install the operator'
	built=$(ask '' kubectl kustomize config/default)
	if [ -n "${IMG-}" ]; then
		say "with the image $IMG"
		built=$(printf '%s\n' "$built" | sed "s|image: quay.io/rh-mobb/ecr-secret-operator:.*|image: $IMG|")
	fi
	[ -n "$dry_run" ] || printf '%s\n' "$built" >"$work/operator.yaml"
	installing=yes
	run kubectl apply -f "$work/operator.yaml"
	for crd in $crds; do
		run kubectl wait --for=condition=Established "crd/$crd" --timeout=60s
	done
	if [ -n "${E2E_CREDENTIALS-}" ]; then
		run kubectl -n "$operator" create secret generic aws-ecr-cloud-credentials --from-file="credentials=$E2E_CREDENTIALS"
	elif [ -n "${E2E_ROLE_ARN-}" ]; then
		run kubectl -n "$operator" annotate "$account_of_pods" "eks.amazonaws.com/role-arn=$E2E_ROLE_ARN"
	fi
	# Pods that are there already have neither.
	run kubectl -n "$operator" rollout restart "$deployment"
	run kubectl -n "$operator" rollout status "$deployment" --timeout=300s
}

# Print the ARN that the repository must let in; nothing if the operator's identity is not known here.
principal() {
	if [ -n "${E2E_PRINCIPAL:-${E2E_ROLE_ARN-}}" ]; then
		printf '%s\n' "${E2E_PRINCIPAL:-$E2E_ROLE_ARN}"
	elif [ -n "${E2E_CREDENTIALS-}" ]; then
		role=$(sed -n 's/^ *role_arn *= *//p' "$E2E_CREDENTIALS" | head -n 1)
		if [ -z "$role" ]; then
			role=$(ask arn:aws:iam::123456789012:user/me env -u AWS_PROFILE -u AWS_ACCESS_KEY_ID \
				-u AWS_SECRET_ACCESS_KEY -u AWS_SESSION_TOKEN \
				AWS_SHARED_CREDENTIALS_FILE=/dev/null "AWS_CONFIG_FILE=$E2E_CREDENTIALS" \
				aws sts get-caller-identity --query Arn --output text)
		fi
		printf '%s\n' "$role" | sed 's|^\(arn:[^:]*\):sts::\([0-9]*\):assumed-role/\([^/]*\)/.*|\1:iam::\2:role/\3|'
	fi
}

make_repository() {
	step 'Make a repository in ECR'
	repository_made=yes
	uri=$(ask "123456789012.dkr.ecr.$AWS_REGION.amazonaws.com/$name" \
		aws ecr create-repository --repository-name "$name" --query repository.repositoryUri --output text)
	allowed=$(principal)
	if [ -z "$allowed" ]; then
		say 'No policy for it: the identity of the operator must have the right to push and pull by its own.'
		return
	fi
	run aws ecr set-repository-policy --repository-name "$name" --policy-text '{
  "Version": "2012-10-17",
  "Statement": [{
    "Sid": "e2e", "Effect": "Allow", "Principal": {"AWS": "'"$allowed"'"},
    "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"]
  }]
}'
}

make_resources() {
	step 'One resource of each kind becomes Ready'
	namespace_made=yes
	run kubectl create namespace "$name"
	apply <<-END
		apiVersion: ecr.mobb.redhat.com/v1alpha1
		kind: Secret
		metadata: {name: pull}
		spec:
		  generated_secret_name: pull-login
		  ecr_registry: ${uri%%/*}
		---
		apiVersion: ecr.mobb.redhat.com/v1alpha1
		kind: ArgoHelmRepoSecret
		metadata: {name: charts}
		spec:
		  generated_secret_name: charts-login
		  url: $uri
		---
		apiVersion: ecr.mobb.redhat.com/v1alpha1
		kind: ClusterSecret
		metadata: {name: $name}
		spec:
		  generated_secret_name: cluster-login
		  ecr_registry: ${uri%%/*}
		  namespaces: {names: [$name]}
	END
	run kubectl -n "$name" wait --for=condition=Ready ecrsecret/pull argohelmrepo/charts "ecrclustersecret/$name" \
		--timeout=180s
	run kubectl -n "$name" get ecrsecret,argohelmrepo
	run kubectl get "ecrclustersecret/$name"
	run kubectl -n "$name" get secret/pull-login secret/charts-login secret/cluster-login -L argocd.argoproj.io/secret-type
}

push() {
	step "Push an image with the login: skopeo, in a pod, copies $source"
	apply <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: push}
		spec:
		  restartPolicy: Never
		  automountServiceAccountToken: false
		  containers:
		    - name: skopeo
		      image: $copier
		      command: [skopeo, copy, --all, --dest-authfile, /login/config.json, "docker://$source", "docker://$uri:e2e"]
		      env: [{name: HOME, value: /tmp}, {name: TMPDIR, value: /tmp}]
		      volumeMounts: [{name: login, mountPath: /login, readOnly: true}, {name: tmp, mountPath: /tmp}]
		  volumes:
		    - name: login
		      secret: {secretName: pull-login, items: [{key: .dockerconfigjson, path: config.json}]}
		    - {name: tmp, emptyDir: {}}
	END
	within 300 'a pushed image' has_run push
}

# puller NAME SPEC…: a pod that does nothing but need the image.
puller() {
	apply <<-END
		apiVersion: v1
		kind: Pod
		metadata: {name: $1}
		spec:
		  restartPolicy: Never
		  automountServiceAccountToken: false
		  $2
		  containers: [{name: image, image: "$uri:e2e", imagePullPolicy: Always, command: [echo, pulled]}]
	END
}

pull() {
	step 'A pod without the login can not pull the image'
	puller without ''
	within 120 'a verdict on the pull without a login' is_decided without
	if [ -z "$dry_run" ]; then
		case $(field pod/without .status.phase) in
		Pending) say 'It can not.' ;;
		*) say 'It can: nodes of this cluster have a login of their own, so that the next step proves little.' ;;
		esac
	fi
	step 'A pod with the login can'
	puller with 'imagePullSecrets: [{name: pull-login}]'
	within 180 'a pulled image' has_run with
}

repair() {
	step 'A deleted Secret comes back'
	uid=$(ask 0 kubectl -n "$name" get secret/pull-login -o 'jsonpath={.metadata.uid}')
	run kubectl -n "$name" delete secret/pull-login
	within 30 'another Secret of that name' differs secret/pull-login .metadata.uid "$uid"
}

refresh() {
	step 'A fresh token on request; AWS is asked every 5 minutes at the most'
	updated=$(ask 0 kubectl -n "$name" get ecrsecret/pull -o 'jsonpath={.status.lastUpdatedTime}')
	run kubectl -n "$name" annotate ecrsecret/pull \
		"ecr.mobb.redhat.com/refresh-requested-at=$(date -u +%Y-%m-%dT%H:%M:%SZ)"
	within 420 'a newer token' differs ecrsecret/pull .status.lastUpdatedTime "$updated"
}

delete_resource() {
	step 'The Secret goes with its resource'
	run kubectl -n "$name" delete ecrsecret/pull
	within 90 'no Secret any more' is_gone secret/pull-login
}

show_what_went_wrong() {
	step 'How things are'
	for what in 'get ecr,pods' 'describe ecrsecret,argohelmrepo' "describe ecrclustersecret $name" 'get events --sort-by=.lastTimestamp'; do
		# shellcheck disable=SC2086  # words of a command
		run kubectl -n "$name" $what || true
	done
	run kubectl -n "$operator" logs "$deployment" -c manager --tail=40 --pod-running-timeout=5s || true
}

# undo COMMAND…: go on if it fails, and say so in the end.
undo() { run "$@" || left="$left $*;"; }

clean_up() {
	code=$?
	trap '' INT TERM HUP
	trap - EXIT
	left=
	[ "$code" -eq 0 ] || [ -z "$namespace_made" ] || show_what_went_wrong
	[ -z "$namespace_made$repository_made$installing" ] || step 'Take away what was made'
	[ -z "$namespace_made" ] || undo kubectl delete ecrclustersecret "$name" --ignore-not-found --timeout=60s
	[ -z "$namespace_made" ] || undo kubectl delete namespace "$name" --ignore-not-found --timeout=180s
	if [ -n "$repository_made" ] && run aws ecr describe-repositories --repository-names "$name"; then
		undo aws ecr delete-repository --repository-name "$name" --force
	fi
	[ -z "$installing" ] || undo kubectl delete -f "$work/operator.yaml" --ignore-not-found --timeout=180s
	[ -z "$work" ] || rm -rf "$work"
	[ -z "$left" ] || printf 'STILL THERE, these failed:%s\n' "$left" >&2
	case $code/$left in
	0/ | 1/* | 2/* | 129/* | 130/* | 143/*) ;;
	*) code=1 ;; # what a command of others ended with, or something that is still there
	esac
	if [ "$code" -eq 0 ] && [ -z "$dry_run" ]; then step 'All went well.'; fi
	exit "$code"
}

case $#/${1-} in
0/) ;;
1/--dry-run) dry_run=yes ;;
1/-h | 1/--help) say "$usage" && exit ;;
*) refuse "$usage" ;;
esac
check_settings
look_around
confirm
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
if [ -n "$dry_run" ]; then work=/tmp/e2e; else work=$(mktemp -d); fi
[ -n "${E2E_INSTALLED-}" ] || install_operator
make_repository
make_resources
push
pull
repair
refresh
delete_resource
