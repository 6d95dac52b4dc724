package main

import (
	"net/http"
	"slices"
	"strings"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
)

// spaces is rabbitmq_vhost.
func spaces(client *rabbithole.Client) {
	name := unique("tf/space")
	_, err := client.GetVhost(name)
	answered(http.StatusNotFound, err, "a virtual host that is not there")
	status(http.StatusCreated)(client.PutVhost(name,
		rabbithole.VhostSettings{Description: "of a test", Tags: []string{"one", "two"}}))
	found := got(client.GetVhost(name))
	equal(found.Name, name, "its name")
	equal(found.Description, "of a test", "its description")
	equal([]string(found.Tags), []string{"one", "two"}, "its tags")
	check(!found.Tracing, "it is not traced")
	equal(len(got(client.GetVhostLimits(name))), 0, "limits of a new virtual host")
	ok("a virtual host is made and read")

	status(http.StatusNoContent)(client.PutVhost(name, rabbithole.VhostSettings{Description: "changed"}))
	equal(got(client.GetVhost(name)).Description, "changed", "its description")
	limits := rabbithole.VhostLimitsValues{"max-connections": 10, "max-queues": 20}
	status(http.StatusNoContent)(client.PutVhostLimits(name, limits))
	rows := got(client.GetVhostLimits(name))
	equal(len(rows), 1, "rows of limits")
	equal(rows[0].Vhost, name, "whose limits")
	equal(rows[0].Value, limits, "its limits")
	// Both are deleted before some are set, whether they are there or not.
	both := rabbithole.VhostLimits{"max-connections", "max-queues"}
	status(http.StatusNoContent)(client.DeleteVhostLimits(name, both))
	status(http.StatusNoContent)(client.DeleteVhostLimits(name, both))
	status(http.StatusNoContent)(client.PutVhostLimits(name, rabbithole.VhostLimitsValues{"max-queues": 5}))
	equal(got(client.GetVhostLimits(name))[0].Value, rabbithole.VhostLimitsValues{"max-queues": 5}, "its limits")
	status(http.StatusNoContent)(client.PutVhostLimits(name, rabbithole.VhostLimitsValues{"max-queues": -1}))
	// RabbitMQ keeps it as it is, Bongsu as no limit.
	for _, row := range got(client.GetVhostLimits(name)) {
		equal(row.Value, rabbithole.VhostLimitsValues{"max-queues": -1}, "no limit")
	}
	ok("its description and limits are changed")

	status(http.StatusNoContent)(client.DeleteVhost(name))
	_, err = client.GetVhost(name)
	answered(http.StatusNotFound, err, "a deleted virtual host")
	_, err = client.GetVhostLimits(name)
	answered(http.StatusNotFound, err, "limits of a deleted virtual host")
	status(http.StatusNotFound)(client.DeleteVhost(name))
	ok("a deleted virtual host is gone, and deleting it again is no error")
}

// users is rabbitmq_user, rabbitmq_permissions and rabbitmq_topic_permissions.
func users(client *rabbithole.Client) {
	vhost, drop := space(client)
	defer drop()
	name := unique("tf user")
	_, err := client.GetUser(name)
	answered(http.StatusNotFound, err, "a user who is not there")
	settings := rabbithole.UserSettings{Password: "first", Tags: rabbithole.UserTags{"management", "policymaker"}}
	status(http.StatusCreated)(client.PutUser(name, settings))
	found := got(client.GetUser(name))
	equal(found.Name, name, "the name")
	equal([]string(found.Tags), []string{"management", "policymaker"}, "the tags")
	own := got(rabbithole.NewClient(client.Endpoint, name, "first"))
	equal(got(own.Whoami()).Name, name, "who logs in")
	settings = rabbithole.UserSettings{Password: "second", Tags: rabbithole.UserTags{"management"}}
	status(http.StatusNoContent)(client.PutUser(name, settings))
	equal([]string(got(client.GetUser(name)).Tags), []string{"management"}, "the tags")
	_, err = own.Whoami()
	check(err != nil && strings.Contains(err.Error(), "401"), "with the password of before: %v", err)
	own = got(rabbithole.NewClient(client.Endpoint, name, "second"))
	equal(got(own.Whoami()).Name, name, "who logs in")
	status(http.StatusNoContent)(client.PutUser(name, rabbithole.UserSettings{Password: "second"}))
	equal(strings.Join(got(client.GetUser(name)).Tags, ""), "", "the tags")
	ok("a user is made, and password and tags are changed")

	_, err = client.GetPermissionsIn(vhost, name)
	answered(http.StatusNotFound, err, "permissions that are not there")
	status(http.StatusNotFound)(client.ClearPermissionsIn(vhost, name))
	status(http.StatusCreated)(client.UpdatePermissionsIn(vhost, name,
		rabbithole.Permissions{Configure: "^tf", Write: ".*", Read: ""}))
	equal(got(client.GetPermissionsIn(vhost, name)),
		rabbithole.PermissionInfo{User: name, Vhost: vhost, Configure: "^tf", Write: ".*"}, "the permissions")
	status(http.StatusNoContent)(client.UpdatePermissionsIn(vhost, name,
		rabbithole.Permissions{Configure: "", Write: "^tf", Read: "a|b"}))
	equal(got(client.GetPermissionsIn(vhost, name)),
		rabbithole.PermissionInfo{User: name, Vhost: vhost, Write: "^tf", Read: "a|b"}, "the permissions")
	status(http.StatusNoContent)(client.ClearPermissionsIn(vhost, name))
	_, err = client.GetPermissionsIn(vhost, name)
	answered(http.StatusNotFound, err, "deleted permissions")
	_, err = client.UpdatePermissionsIn(vhost, name, rabbithole.Permissions{Configure: "("})
	answered(http.StatusBadRequest, err, "a pattern that is none")
	_, err = client.UpdatePermissionsIn("no such space", name, rabbithole.Permissions{})
	answered(http.StatusBadRequest, err, "permissions in a virtual host that is not there")
	ok("permissions are set, changed and cleared")

	_, err = client.GetTopicPermissionsIn(vhost, name)
	answered(http.StatusNotFound, err, "topic permissions that are not there")
	status(http.StatusNotFound)(client.ClearTopicPermissionsIn(vhost, name))
	status(http.StatusCreated)(client.UpdateTopicPermissionsIn(vhost, name,
		rabbithole.TopicPermissions{Exchange: "amq.topic", Write: "^a", Read: "^b"}))
	// The row of another exchange is a new one; RabbitMQ says nevertheless that it was there.
	status(http.StatusCreated, http.StatusNoContent)(client.UpdateTopicPermissionsIn(vhost, name,
		rabbithole.TopicPermissions{Exchange: "other", Write: "", Read: ".*"}))
	rows := got(client.GetTopicPermissionsIn(vhost, name))
	slices.SortFunc(rows, func(one, other rabbithole.TopicPermissionInfo) int {
		return strings.Compare(one.Exchange, other.Exchange)
	})
	equal(rows, []rabbithole.TopicPermissionInfo{
		{User: name, Vhost: vhost, Exchange: "amq.topic", Write: "^a", Read: "^b"},
		{User: name, Vhost: vhost, Exchange: "other", Write: "", Read: ".*"},
	}, "the topic permissions")
	status(http.StatusNoContent)(client.DeleteTopicPermissionsIn(vhost, name, "other"))
	equal(len(got(client.GetTopicPermissionsIn(vhost, name))), 1, "rows after one was deleted")
	status(http.StatusNoContent)(client.ClearTopicPermissionsIn(vhost, name))
	_, err = client.GetTopicPermissionsIn(vhost, name)
	answered(http.StatusNotFound, err, "deleted topic permissions")
	ok("topic permissions are set, changed and cleared")

	status(http.StatusNoContent)(client.DeleteUser(name))
	_, err = client.GetUser(name)
	answered(http.StatusNotFound, err, "a deleted user")
	status(http.StatusNotFound)(client.DeleteUser(name))
	_, err = client.UpdatePermissionsIn(vhost, name, rabbithole.Permissions{})
	answered(http.StatusBadRequest, err, "permissions of a deleted user")
	ok("a deleted user is gone, and deleting it again is no error")
}
